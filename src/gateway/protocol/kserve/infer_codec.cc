#include "gateway/protocol/kserve/infer_codec.h"

#include "gateway/protocol/kserve/infer_answer.h"
#include "gateway/protocol/kserve/request.h"
#include "gateway/protocol/kserve/tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace autoglm::protocol::kserve {

namespace {

constexpr std::size_t kMostTensors = 16;

struct InferBody : Body {
  std::vector<Tensor> inputs;
  std::vector<WantedOutput> outputs;
  bool all_binary = false;
  std::vector<std::string> texts;
};

template <class Item>
Result<void> read_list(const JsonValue& value, std::vector<Item>& items,
                       Result<Item> (*read)(const JsonValue&)) {
  items.clear();
  if (value.item_count() > kMostTensors)
    return fail(value.wrong(fmt::format("a list of at most {} tensors", kMostTensors)));
  return value.for_each_item([&](const JsonValue& item) -> Result<void> {
    auto made = read(item);
    if (!made) return fail(made.error());
    items.push_back(std::move(*made));
    return {};
  });
}

Result<void> read_member(std::string_view name, const JsonValue& value, InferBody& body) {
  if (value.is_null()) return {};
  if (name == "id") return value.read_string(body.id);
  if (name == "inputs") return read_list(value, body.inputs, read_tensor);
  if (name == "outputs") return read_list(value, body.outputs, read_output);
  if (name != "parameters") {
    ++body.unknown;
    return {};
  }
  if (auto read = read_parameters(value, body); !read) return read;
  return value.for_each_member([&](std::string_view key, const JsonValue& item) -> Result<void> {
    if (key != "binary_data_output") return {};
    const auto flag = item.as_bool();
    if (!flag) return fail(flag.error());
    body.all_binary = *flag;
    return {};
  });
}

/// Behind the JSON stand the tensors that say so, in their order.
Result<void> take_binaries(InferBody& body, std::string_view binary) {
  for (Tensor& tensor : body.inputs) {
    if (!tensor.binary_size) continue;
    if (auto taken = take_binary(tensor, binary); !taken) return taken;
  }
  if (binary.empty()) return {};
  return fail(
      invalid_field("inputs", fmt::format("{} bytes behind the JSON belong to no input", binary.size())));
}

Result<void> take_flag(const Tensor& tensor, bool& target) {
  if (tensor.flags.size() != 1)
    return fail(invalid_field(tensor.name, fmt::format("the input \"{}\" must be one BOOL", tensor.name)));
  target = tensor.flags.front();
  return {};
}

Result<void> take_text(Tensor& tensor, std::string& target) {
  if (tensor.texts.size() != 1)
    return fail(invalid_field(tensor.name, fmt::format("the input \"{}\" must be one text", tensor.name)));
  target = std::move(tensor.texts.front());
  return {};
}

/// A tensor says what a parameter of its name says, too.
Result<void> take_input(Tensor& tensor, InferBody& body) {
  const std::string& name = tensor.name;
  if (name == "sampling_parameters") return take_text(tensor, body.sampling_parameters);
  if (name == "stream") return take_flag(tensor, body.stream);
  if (name == "exclude_input_in_output") return take_flag(tensor, body.excludes_input.emplace());
  if (name == "return_finish_reason") return take_flag(tensor, body.tells_finish);
  if (name == "return_num_input_tokens") return take_flag(tensor, body.tells_input_tokens);
  if (name == "return_num_output_tokens") return take_flag(tensor, body.tells_output_tokens);
  if (name == "return_logprobs" || name == "return_cumulative_logprob") {
    bool wanted = false;
    if (auto taken = take_flag(tensor, wanted); !taken || !wanted) return taken;
    return fail(invalid_field(name, name + " is not supported by this server: leave it out"));
  }
  if (name != "text_input") {
    return fail(invalid_field(
        name, fmt::format("\"{}\" is no input here; the inputs are text_input (BYTES), sampling_parameters "
                          "(BYTES), exclude_input_in_output, return_finish_reason, return_num_input_tokens "
                          "and return_num_output_tokens (BOOL)",
                          name)));
  }
  body.has_prompt = !tensor.texts.empty();
  body.texts = std::move(tensor.texts);
  return {};
}

Result<std::vector<OutputPlan>> plan_outputs(const InferBody& body) {
  using Output = OutputPlan::Kind;
  std::vector<OutputPlan> plan;
  if (body.outputs.empty()) {
    plan.push_back({Output::kText, body.all_binary});
    if (body.tells_finish) plan.push_back({Output::kFinish, body.all_binary});
    if (body.tells_input_tokens) plan.push_back({Output::kInputTokens, body.all_binary});
    if (body.tells_output_tokens) plan.push_back({Output::kOutputTokens, body.all_binary});
    return plan;
  }
  constexpr auto kNames =
      std::to_array<std::pair<std::string_view, Output>>({{"text_output", Output::kText},
                                                          {"finish_reason", Output::kFinish},
                                                          {"num_input_tokens", Output::kInputTokens},
                                                          {"num_output_tokens", Output::kOutputTokens},
                                                          {"embedding", Output::kEmbedding}});
  for (const WantedOutput& output : body.outputs) {
    const auto* known =
        std::ranges::find(kNames, std::string_view(output.name), &std::pair<std::string_view, Output>::first);
    if (known == kNames.end()) {
      return fail(invalid_field(
          "outputs", fmt::format("\"{}\" is no output here; the outputs are text_output, finish_reason, "
                                 "num_input_tokens, num_output_tokens, or embedding",
                                 output.name)));
    }
    if (std::ranges::count(plan, known->second, &OutputPlan::kind) > 0)  // it would multiply the answer
      return fail(invalid_field("outputs", fmt::format("the output \"{}\" is asked for twice", output.name)));
    plan.push_back({known->second, output.binary.value_or(body.all_binary)});
  }
  const auto vectors = std::ranges::count(plan, Output::kEmbedding, &OutputPlan::kind);
  if (vectors == 0 || plan.size() == 1) return plan;
  return fail(invalid_field("outputs", "an embedding is the only output of a request that asks for it"));
}

Result<void> read_body(InferBody& body, std::string_view bytes, std::optional<std::size_t> json_size) {
  if (json_size && *json_size > bytes.size()) {
    return fail(invalid_field("Inference-Header-Content-Length",
                              fmt::format("Inference-Header-Content-Length is {}, and the body has {} bytes",
                                          *json_size, bytes.size())));
  }
  const std::string_view json = bytes.substr(0, json_size.value_or(bytes.size()));
  auto read = visit_json_object(
      json, [&](std::string_view name, const JsonValue& value) { return read_member(name, value, body); });
  if (!read) return read;
  if (auto taken = take_binaries(body, bytes.substr(json.size())); !taken) return taken;
  for (Tensor& tensor : body.inputs) {
    if (auto taken = take_input(tensor, body); !taken) return taken;
  }
  if (!body.has_prompt) {
    return fail(invalid_field("inputs",
                              "the input text_input is missing: send e.g. {\"inputs\": [{\"name\": "
                              "\"text_input\", \"datatype\": \"BYTES\", \"shape\": [1], \"data\": "
                              "[\"Hello\"]}]}",
                              "missing_required_parameter"));
  }
  body.work.prompts.clear();
  for (const std::string& text : body.texts) body.work.prompts.emplace_back(TextPrompt{.text = text});
  if (auto settled = settle(body); !settled) return settled;
  if (body.stream)
    return fail(invalid_field("stream", "stream must be false here: /generate_stream streams"));
  return {};
}

}  // namespace

Result<DecodedCall> InferCodec::decode(std::string_view bytes) const {
  InferBody body;
  if (auto read = read_body(body, bytes, json_size_); !read) return fail(read.error());
  auto outputs = plan_outputs(body);
  if (!outputs) return fail(outputs.error());
  auto plan = std::make_shared<InferPlan>(
      InferPlan{.id = std::move(body.id), .outputs = std::move(*outputs), .json_size = answer_json_size_});
  DecodedCall call{.model = model_, .unknown_fields = body.unknown};
  if (plan->outputs.front().kind == OutputPlan::Kind::kEmbedding) {
    call.work = EmbedRequest{.inputs = std::move(body.work.prompts), .dimensions = body.dimensions};
  } else {
    // As Triton's backend for vLLM has it.
    const bool begins = !body.excludes_input.value_or(false);
    for (std::string& text : body.texts) plan->beginnings.push_back(begins ? std::move(text) : std::string());
    call.work = std::move(body.work);
  }
  call.make_encoder = [plan = std::shared_ptr<const InferPlan>(std::move(plan))](const AnswerFacts& facts) {
    return make_infer_encoder(facts, plan);
  };
  return call;
}

}  // namespace autoglm::protocol::kserve
