#include "gateway/protocol/kserve/generate_codec.h"

#include "base/json_string.h"
#include "gateway/protocol/kserve/request.h"

#include <fmt/format.h>

#include <iterator>
#include <memory>
#include <optional>
#include <vector>

namespace autoglm::protocol::kserve {

namespace {

struct AnswerOptions {
  bool stream = false;
  bool tells_finish = false;
  bool tells_input_tokens = false;
  bool tells_output_tokens = false;
  std::string beginning;  ///< the input, where the answer begins with it
};

class TextEncoder final : public AnswerEncoder {
 public:
  TextEncoder(const AnswerFacts& facts, AnswerOptions options)
      : options_(std::move(options)), text_(options_.beginning) {
    head_ = fmt::format(R"({{"model_name":{},"model_version":"{}","text_output":)", json_string(facts.model),
                        kVersion);
  }

  std::string_view content_type() const override {
    return options_.stream ? "text/event-stream; charset=utf-8" : "application/json";
  }
  std::string_view keep_alive() const override {
    return options_.stream ? std::string_view(": keep-alive\n") : std::string_view();
  }

  std::size_t kept() const override { return options_.beginning.size(); }

  void events(const EventBatch& batch, std::string& out) override {
    for (const TokenEvent& event : batch.events) {
      text_ += event.text;
      tokens_ += static_cast<std::uint32_t>(event.tokens.size());
      if (event.finish) finish_ = event.finish;
      if (!options_.stream || event.text.empty()) continue;
      out.append("data: ").append(head_);
      append_json_string(out, text_);
      out += "}\n\n";
      text_.clear();
    }
  }

  void end(const Usage& usage, std::string& out) override {
    const bool tells = options_.tells_finish || options_.tells_input_tokens || options_.tells_output_tokens;
    if (options_.stream && !tells && text_.empty()) return;
    if (options_.stream) out += "data: ";
    out += head_;
    append_json_string(out, text_);
    if (options_.tells_finish)
      fmt::format_to(std::back_inserter(out), R"(,"finish_reason":"{}")",
                     to_string(finish_.value_or(FinishReason::kStop)));
    if (options_.tells_input_tokens)
      fmt::format_to(std::back_inserter(out), R"(,"num_input_tokens":{})", usage.prompt_tokens);
    if (options_.tells_output_tokens)
      fmt::format_to(std::back_inserter(out), R"(,"num_output_tokens":{})",
                     tokens_ > 0 ? tokens_ : usage.completion_tokens);  // not every endpoint tells ids
    out += options_.stream ? "}\n\n" : "}";
  }

  void failure(const Error& error, std::string& out) override {
    if (options_.stream) {
      out += "data: " + error_body(error) + "\n\n";
    } else {
      out = error_body(error);
    }
  }

 private:
  AnswerOptions options_;
  std::string head_;
  std::string text_;  // of a stream: since the last frame
  std::uint32_t tokens_ = 0;
  std::optional<FinishReason> finish_;
};

Result<void> read_member(std::string_view name, const JsonValue& value, Body& body) {
  if (value.is_null()) return {};
  if (name == "id") return value.read_string(body.id);
  if (name == "parameters") return read_parameters(value, body);
  if (name != "text_input") return read_parameter(name, value, body);
  auto text = value.as_string();
  if (!text) return fail(text.error());
  body.work.prompts.front() = TextPrompt{.text = std::move(*text)};
  body.has_prompt = true;
  return {};
}

Result<void> check(const Body& body, bool streams) {
  if (!body.has_prompt) {
    return fail(invalid_field("text_input",
                              "text_input is missing: send e.g. {\"text_input\": \"Hello\", \"parameters\": "
                              "{\"max_tokens\": 50}}",
                              "missing_required_parameter"));
  }
  if (body.stream && !streams)
    return fail(invalid_field("stream", "stream must be false here: /generate_stream streams"));
  if (streams && body.excludes_input == false) {
    return fail(invalid_field("exclude_input_in_output",
                              "exclude_input_in_output must be true for a stream, or left out"));
  }
  return {};
}

}  // namespace

Result<DecodedCall> GenerateCodec::decode(std::string_view bytes) const {
  Body body;
  auto read = visit_json_object(
      bytes, [&](std::string_view name, const JsonValue& value) { return read_member(name, value, body); });
  if (!read) return fail(read.error());
  if (auto settled = settle(body); !settled) return fail(settled.error());
  if (auto checked = check(body, streams_); !checked) return fail(checked.error());
  AnswerOptions options{.stream = streams_,
                        .tells_finish = body.tells_finish,
                        .tells_input_tokens = body.tells_input_tokens,
                        .tells_output_tokens = body.tells_output_tokens,
                        .beginning = {}};
  // As Triton's backend for vLLM has it.
  if (!streams_ && !body.excludes_input.value_or(false))
    options.beginning = std::get<TextPrompt>(body.work.prompts.front()).text;
  return DecodedCall{.model = model_,
                     .work = std::move(body.work),
                     .stream = streams_,
                     .unknown_fields = body.unknown,
                     .make_encoder = [options = std::move(options)](
                                         const AnswerFacts& facts) -> std::unique_ptr<AnswerEncoder> {
                       return std::make_unique<TextEncoder>(facts, options);
                     }};
}

}  // namespace autoglm::protocol::kserve
