#include "gateway/protocol/openai/models.h"

#include "base/json_string.h"

#include <fmt/format.h>

namespace autoglm::protocol::openai {

namespace {

void describe(const ModelCard& card, std::string& out) {
  out += fmt::format(R"({{"id":{},"object":"model","created":{},"owned_by":"open-autoglm")",
                     json_string(card.name), card.created);
  if (!card.root.empty()) out += fmt::format(R"(,"root":{})", json_string(card.root));
  if (card.context_length > 0) out += fmt::format(R"(,"max_model_len":{})", card.context_length);
  if (card.task != ModelTask::kGenerate) out += fmt::format(R"(,"task":"{}")", to_string(card.task));
  if (!card.sampling.empty()) {
    std::string defaults;
    for (const SamplingDefault& number : card.sampling) {
      defaults += fmt::format(R"({}"{}":{{"value":{},"source":{}}})", defaults.empty() ? "" : ",",
                              number.name, number.value, json_string(number.source));
    }
    out += fmt::format(R"(,"sampling_defaults":{{{}}})", defaults);
  }
  if (!card.system_message.empty())
    out += fmt::format(R"(,"default_system_message":{})", json_string(card.system_message));
  out += '}';
}

}  // namespace

std::string models_body(std::span<const ModelCard> cards) {
  std::string body = R"({"object":"list","data":[)";
  for (const ModelCard& card : cards) {
    if (!body.ends_with('[')) body += ',';
    describe(card, body);
  }
  return body + "]}";
}

std::string model_body(const ModelCard& card) {
  std::string body;
  describe(card, body);
  return body;
}

}  // namespace autoglm::protocol::openai
