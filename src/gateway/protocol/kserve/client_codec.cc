#include "gateway/protocol/kserve/client_codec.h"

#include "gateway/protocol/carried.h"
#include "gateway/protocol/json/object_writer.h"
#include "gateway/protocol/object_stream.h"
#include "gateway/protocol/openai/frame_reader.h"
#include "gateway/protocol/openai/said_error.h"
#include "gateway/protocol/url_part.h"
#include "gateway/protocol/whole_answers.h"

#include <fmt/format.h>

#include <optional>
#include <span>
#include <utility>

namespace autoglm::protocol::kserve {

namespace {

using openai::broken_answer;
using simdjson::dom::element;

// A server ignores parameters that it does not know, so that only names which all of them have are carried.
constexpr Carried kKserve{.texts = true};
constexpr Carried kTensorrt{
    .texts = true, .top_k = true, .penalties = true, .repetition = true, .seed = true, .bad_words = true};

void write_list(JsonObjectWriter& body, std::string_view name, std::span<const std::string> texts) {
  if (texts.empty()) return;
  std::string& out = body.key(name);
  for (char before = '['; const std::string& text : texts)
    append_json_string(out += std::exchange(before, ','), text);
  out += ']';
}

void write_parameters(JsonObjectWriter& body, const InferenceRequest& request, bool tensorrt) {
  const GenerateRequest& work = *request.generation();
  const SamplingRequest& sampling = work.sampling;
  JsonObjectWriter parameters(body.key("parameters"));
  if (tensorrt) parameters.flag("stream", true);
  parameters.number("max_tokens", work.stop.max_tokens);
  parameters.number("temperature", sampling.temperature);
  parameters.number("top_p", sampling.top_p);
  parameters.number("top_k", sampling.top_k);
  parameters.number("presence_penalty", sampling.presence_penalty);
  parameters.number("frequency_penalty", sampling.frequency_penalty);
  parameters.number("repetition_penalty", sampling.repetition_penalty);
  if (sampling.seed && !request.seed_chosen) {
    const auto seed = static_cast<std::int64_t>(*sampling.seed);
    parameters.number("random_seed", seed);
    parameters.number("seed", seed);  // as newer versions call it
  }
  write_list(parameters, tensorrt ? "stop_words" : "stop", work.stop.stop);
  write_list(parameters, "bad_words", work.bad_words);
  parameters.end();
}

/// The texts of `generate_stream`. The end of the body is the answer's; a reason is seldom told.
class StreamReader final : public ObjectStreamReader {
 public:
  explicit StreamReader(std::optional<std::uint32_t> most)
      : ObjectStreamReader(Framing::kEvents), most_(most) {}

 private:
  Result<void> take(const element& object, EventBatch& batch) override {
    if (auto error = openai::error_in(object, "the endpoint ended the stream with an error"))
      return fail(std::move(*error));
    element text;
    if (object["text_output"].get(text) != simdjson::SUCCESS)
      return fail(broken_answer("the endpoint sent an event that is no part of an answer"));
    any_ = true;
    TokenEvent event{.text = text_of(text)};
    element details;
    std::string reason = text_at(object, "finish_reason");
    if (reason.empty() && object["details"].get(details) == simdjson::SUCCESS)
      reason = text_at(details, "finish_reason");
    if (!reason.empty()) finish_ = reason == "length" ? FinishReason::kLength : FinishReason::kStop;
    if (event.text.empty()) return {};
    ++said_;  // an event has a token's text
    batch.events.push_back(std::move(event));
    return {};
  }

  Result<void> end(EventBatch& batch) override {
    if (!any_) return fail(broken_answer("the endpoint's stream ended without an answer"));
    const bool all = most_ && said_ >= *most_;
    batch.events.push_back({.finish = finish_.value_or(all ? FinishReason::kLength : FinishReason::kStop)});
    batch.usage = Usage{.completion_tokens = said_};
    return {};
  }

  /// A text, or a list of one.
  static std::string text_of(const element& said) {
    std::string_view text;
    simdjson::dom::array list;
    if (said.get(list) == simdjson::SUCCESS && list.begin() != list.end()) {
      (void)(*list.begin()).get(text);
    } else {
      (void)said.get(text);
    }
    return std::string(text);
  }

  std::optional<std::uint32_t> most_;
  std::optional<FinishReason> finish_;
  std::uint32_t said_ = 0;
  bool any_ = false;
};

}  // namespace

Result<EndpointRequest> KserveClient::write(const InferenceRequest& request,
                                            const EndpointTerms& terms) const {
  if (std::holds_alternative<EmbedRequest>(request.work)) return fail(cannot_carry("input", name()));
  if (std::holds_alternative<ScoreRequest>(request.work)) return fail(cannot_carry("documents", name()));
  if (auto carried = check_carried(request, of_tensorrt() ? kTensorrt : kKserve, name()); !carried)
    return fail(std::move(carried).error());
  const std::string_view model = terms.model.empty() ? std::string_view(request.model) : terms.model;
  EndpointRequest written{.to = {.path = fmt::format("/v2/models/{}/generate_stream", url_part(model))},
                          .body = {}};
  JsonObjectWriter body(written.body);
  body.text("text_input", std::get<TextPrompt>(request.generation()->prompts.front()).text);
  write_parameters(body, request, of_tensorrt());
  body.end();
  return written;
}

std::unique_ptr<AnswerReader> KserveClient::reader(const InferenceRequest& request,
                                                   const EndpointTerms& /*terms*/) const {
  return std::make_unique<StreamReader>(request.generation()->stop.max_tokens);
}

}  // namespace autoglm::protocol::kserve
