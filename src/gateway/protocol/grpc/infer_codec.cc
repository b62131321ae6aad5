#include "gateway/protocol/grpc/infer_codec.h"

#include "base/json_string.h"
#include "base/utf8.h"
#include "gateway/protocol/grpc/frames.h"
#include "gateway/protocol/grpc/tensors.h"
#include "gateway/protocol/openai/format_fields.h"
#include "gateway/protocol/openai/generate_fields.h"
#include "gateway/protocol/openai/other_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <utility>
#include <vector>

namespace autoglm::protocol::grpc {

namespace {

constexpr std::uint32_t kVllmMaxTokens = 16;  // vLLM's SamplingParams
// Parameters by which Triton schedules; they bind no answer.
constexpr std::array<std::string_view, 6> kIgnored = {"priority",       "timeout",      "sequence_id",
                                                      "sequence_start", "sequence_end", "binary_data_output"};
constexpr std::size_t kMostCopied = std::size_t{64} << 20U;  // bytes: an answer has the prompt once a choice
constexpr std::string_view kEmptyFinal = "triton_enable_empty_final_response";

/// What an answer needs of its request.
struct Asked {
  std::string id;
  std::string prompt;  // stands before the text; empty: the text alone
  std::uint32_t choices = 1;
  bool raw = false;
  bool stream = false;       // an answer for each batch
  bool wrapped = false;      // in a ModelStreamInferResponse
  bool empty_final = false;  // after the last text another answer, without outputs, ends the request
};

class InferEncoder final : public AnswerEncoder {
 public:
  InferEncoder(std::shared_ptr<const Asked> asked, std::string model)
      : asked_(std::move(asked)), model_(std::move(model)), texts_(asked_->choices) {}

  std::string_view content_type() const override { return "application/grpc"; }
  std::size_t kept() const override { return asked_->prompt.size() * asked_->choices; }

  void events(const EventBatch& batch, std::string& out) override {
    for (const TokenEvent& event : batch.events) texts_[event.choice] += event.text;
    if (!asked_->stream) return;
    const bool last = batch.last() && !asked_->empty_final;
    if (texts_.front().empty() && !last) return;
    append(out, true, last);
    texts_.front().clear();
  }

  void end(const Usage& /*usage*/, std::string& out) override {
    if (!asked_->stream) append(out, true, !asked_->empty_final);
    if (asked_->empty_final) append(out, false, true);
  }

  void failure(const Error& error, std::string& out) override { out += infer_failure(asked_->id, error); }

 private:
  /// A stream's texts have no prompt before them.
  void append(std::string& out, bool with_text, bool last) {
    if (with_text && !asked_->prompt.empty())
      for (std::string& text : texts_) text.insert(0, asked_->prompt);
    kserve::ModelStreamInferResponse message;
    kserve::ModelInferResponse& answer = *message.mutable_infer_response();
    answer.set_model_name(model_);
    answer.set_model_version("1");
    answer.set_id(asked_->id);
    if (asked_->wrapped) (*answer.mutable_parameters())["triton_final_response"].set_bool_param(last);
    if (with_text) add_text_output(answer, texts_.data(), texts_.size(), asked_->raw);
    if (asked_->wrapped) {
      append_message(out, message);
    } else {
      append_message(out, answer);
    }
  }

  std::shared_ptr<const Asked> asked_;
  std::string model_;
  std::vector<std::string> texts_;
};

/// Triton's clients write numbers and flags as texts, which vLLM's backend reads as what the parameter is.
/// Returns the same object with numbers and flags.
Result<std::string> plain_json(std::string_view text) {
  std::string out;
  const auto is_plain = [](std::string_view word) {
    double number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    const bool is_number = error == std::errc() && end == word.data() + word.size() && word.front() != '.' &&
                           word.back() != '.' &&
                           word.find_first_not_of("+-.0123456789eE") == std::string_view::npos;
    return is_number || word == "true" || word == "false";
  };
  auto visited = visit_json_object(text, [&](std::string_view name, const JsonValue& value) -> Result<void> {
    out += out.empty() ? '{' : ',';
    append_json_string(out, name);
    out += ':';
    const bool words =
        name == "stop" || name == "bad_words" || name == "cache_salt" || name == "truncation_side";
    std::string word = value.is_string() && !words ? *value.as_string() : std::string();
    if (word == "True" || word == "False") word.front() = word == "True" ? 't' : 'f';  // Python's
    out += !word.empty() && is_plain(word) ? word : value.as_json();
    return {};
  });
  if (!visited) return fail(std::move(visited).error());
  return out.empty() ? "{}" : out + '}';
}

Result<openai::GenerateBody> read_sampling(const std::string& json) {
  openai::GenerateBody body;
  const auto named = [](Error error) {
    error.param = error.param.empty() ? "sampling_parameters" : "sampling_parameters." + error.param;
    error.message = "sampling_parameters: " + error.message;
    return error;
  };
  if (!json.empty()) {
    const auto plain = plain_json(json);
    if (!plain) return fail(named(plain.error()));
    const auto unknown = read_fields(*plain, body, openai::generate_fields(), openai::format_fields(),
                                     openai::unsupported_fields(), openai::ignored_fields());
    if (!unknown) return fail(named(unknown.error()));
    if (*unknown > 0)
      return fail(invalid_field("sampling_parameters",
                                "sampling_parameters has a member that is no parameter of vLLM"));
  }
  if (auto settled = openai::settle_fields(body, kVllmMaxTokens); !settled)
    return fail(named(settled.error()));
  if (body.work.refusal) return fail(named(*body.work.refusal));
  return body;
}

Result<std::uint32_t> read_parameters(const kserve::ModelInferRequest& request, Asked& asked) {
  std::uint32_t ignored = 0;
  for (const auto& [name, value] : request.parameters()) {
    if (name == kEmptyFinal) {
      asked.empty_final = asked.wrapped && value.bool_param();
    } else if (std::ranges::find(kIgnored, name) != kIgnored.end()) {
      ++ignored;
    } else {
      const std::string field = fmt::format("parameters[\"{}\"]", excerpt(name, 64));
      return fail(invalid_field(field, field + " is not known here; what shapes the text goes into the input "
                                               "sampling_parameters"));
    }
  }
  return ignored;
}

/// As vLLM's backend has it: a whole text begins with the prompt unless told otherwise, and a streamed one
/// cannot.
Result<void> settle(const InferInputs& inputs, bool streaming, std::uint32_t choices, Asked& asked) {
  if (inputs.stream && !streaming)
    return fail(invalid_field("stream", "stream needs ModelStreamInfer: ModelInfer has one answer"));
  if (inputs.stream && !inputs.exclude_input_in_output.value_or(true))
    return fail(
        invalid_field("exclude_input_in_output", "exclude_input_in_output cannot be false with stream"));
  if (inputs.stream && choices > 1)
    return fail(invalid_field("sampling_parameters.n", "sampling_parameters.n must be 1 with stream"));
  if (inputs.stream || inputs.exclude_input_in_output.value_or(false)) return {};
  if (choices > 1 && inputs.text.size() > kMostCopied / choices)
    return fail(
        invalid_field("sampling_parameters.n",
                      fmt::format("sampling_parameters.n is {}, and each text would begin with a prompt "
                                  "of {} bytes: set exclude_input_in_output",
                                  choices, inputs.text.size())));
  asked.prompt = inputs.text;
  return {};
}

}  // namespace

Result<DecodedCall> InferCodec::decode(std::string_view bytes) const {
  auto message = parse<kserve::ModelInferRequest>(bytes);
  if (!message) return fail(std::move(message).error());
  if (auto checked = check_version(message->model_version()); !checked)
    return fail(std::move(checked).error());
  auto asked = std::make_shared<Asked>();
  asked->wrapped = streaming_;
  const auto ignored = read_parameters(*message, *asked);
  if (!ignored) return fail(ignored.error());
  auto inputs = read_inputs(*message);
  if (!inputs) return fail(std::move(inputs).error());
  auto body = read_sampling(inputs->sampling_parameters);
  if (!body) return fail(std::move(body).error());
  if (auto settled = settle(*inputs, streaming_, body->work.n, *asked); !settled)
    return fail(std::move(settled).error());
  asked->id = std::move(*message->mutable_id());
  asked->choices = body->work.n;
  asked->raw = inputs->raw;
  asked->stream = inputs->stream;
  body->work.prompts.front() = TextPrompt{std::move(inputs->text)};
  return DecodedCall{.model = std::move(*message->mutable_model_name()),
                     .work = std::move(body->work),
                     .stream = inputs->stream,
                     .priority = body->priority,
                     .unknown_fields = *ignored,
                     .make_encoder = [asked = std::shared_ptr<const Asked>(std::move(asked))](
                                         AnswerFacts facts) -> std::unique_ptr<AnswerEncoder> {
                       return std::make_unique<InferEncoder>(asked, std::move(facts.model));
                     }};
}

std::string infer_failure(std::string_view request, const Error& error) {
  kserve::ModelStreamInferResponse message;
  message.set_error_message(error.message);
  message.mutable_infer_response()->set_id(std::string(request));
  std::string out;
  append_message(out, message);
  return out;
}

}  // namespace autoglm::protocol::grpc
