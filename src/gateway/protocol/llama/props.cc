#include "gateway/protocol/llama/props.h"

#include "base/json_string.h"
#include "gateway/protocol/json/edit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace autoglm::protocol::llama {

namespace {

constexpr std::uint32_t kMostSlots = 1024;

/// A text of the tokenizer's description, or of its object with a "content".
std::string_view text_of(std::string_view tokenizer, std::string_view key) {
  if (tokenizer.empty()) return R"("")";
  std::string_view value = member_value(tokenizer, key);
  if (value.starts_with('{')) value = member_value(value, "content");
  return value.starts_with('"') ? value : R"("")";
}

std::uint32_t slots_of(const LoadReport& load) {
  return std::clamp<std::uint32_t>(load.max_running, 1, kMostSlots);
}

}  // namespace

std::string props_body(const ModelCard& card, const LoadReport& load, std::string_view tokenizer_json,
                       std::string_view build) {
  std::string params;
  for (const SamplingDefault& number : card.sampling) {
    params += fmt::format(R"({}"{}":{})", params.empty() ? "" : ",",
                          number.name == "repetition_penalty" ? "repeat_penalty" : number.name, number.value);
  }
  const std::string name = json_string(card.name);
  return fmt::format(
      R"({{"default_generation_settings":{{"params":{{{}}},"n_ctx":{}}},"total_slots":{},"model_alias":{},)"
      R"("model_path":{},"modalities":{{"vision":false,"video":false,"audio":false}},"endpoint_slots":true,)"
      R"("endpoint_props":false,"endpoint_metrics":true,"chat_template":{},"bos_token":{},"eos_token":{},)"
      R"("build_info":{},"is_sleeping":false}})",
      params, card.context_length, slots_of(load), name, name, text_of(tokenizer_json, "chat_template"),
      text_of(tokenizer_json, "bos_token"), text_of(tokenizer_json, "eos_token"), json_string(build));
}

std::string slots_body(const ModelCard& card, const LoadReport& load) {
  std::string out = "[";
  for (std::uint32_t i = 0; i < slots_of(load); ++i) {
    out += fmt::format(R"({}{{"id":{},"n_ctx":{},"speculative":false,"is_processing":{}}})",
                       i == 0 ? "" : ",", i, card.context_length, i < load.running);
  }
  return out + ']';
}

}  // namespace autoglm::protocol::llama
