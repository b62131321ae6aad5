#include "gateway/protocol/ollama/answer_encoder.h"

#include "base/json_string.h"
#include "base/utf8.h"
#include "gateway/protocol/json/edit.h"
#include "gateway/protocol/ollama/error.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace autoglm::protocol::ollama {

namespace {

struct AnswerOptions {
  AnswerShape shape;
  bool stream;
  bool asks_nothing;
  std::string model;  ///< as the client called it
};

void append_token(std::string& out, const TokenLogprob& token) {
  std::string text;
  append_valid_utf8(text, token.bytes);
  out += R"({"token":)";
  append_json_string(out, text);
  // JSON has no infinity.
  const double logprob =
      std::isfinite(token.logprob) ? token.logprob : double{std::numeric_limits<float>::lowest()};
  fmt::format_to(std::back_inserter(out), R"(,"logprob":{},"bytes":[)", logprob);
  for (std::size_t i = 0; i < token.bytes.size(); ++i)
    fmt::format_to(std::back_inserter(out), "{}{}", i == 0 ? "" : ",",
                   static_cast<unsigned char>(token.bytes[i]));
  out += ']';
}

void append_logprobs(std::string& out, const std::vector<GeneratedLogprob>& logprobs) {
  if (logprobs.empty()) return;
  out += R"(,"logprobs":[)";
  for (const GeneratedLogprob& each : logprobs) {
    if (&each != &logprobs.front()) out += ',';
    append_token(out, each.chosen);
    for (std::string_view before = R"(,"top_logprobs":[)"; const TokenLogprob& top : each.top) {
      out += std::exchange(before, ",");
      append_token(out, top);
      out += '}';
    }
    out += each.top.empty() ? "}" : "]}";
  }
  out += ']';
}

/// What one line, or a whole answer, says.
struct Said {
  std::string text;
  std::string thinking;
  std::vector<ToolCallDelta> calls;  ///< whole; with arguments that are objects
  std::vector<GeneratedLogprob> logprobs;

  bool nothing() const { return text.empty() && thinking.empty() && calls.empty(); }
};

/// Both kinds of answers; a choice is the only one.
class LinesEncoder final : public AnswerEncoder {
 public:
  LinesEncoder(AnswerFacts facts, const AnswerOptions& options)
      : facts_(std::move(facts)), options_(options) {
    head_ = R"({"model":)" + json_string(options.model.empty() ? facts_.model : options.model) +
            R"(,"created_at":")";
  }

  std::string_view content_type() const override {
    return options_.stream && !options_.asks_nothing ? "application/x-ndjson" : "application/json";
  }

  void events(const EventBatch& batch, std::string& out) override {
    if (!first_token_ && !batch.events.empty()) first_token_ = facts_.elapsed();
    for (const TokenEvent& event : batch.events) {
      take(event);
      if (options_.stream) line(out);
    }
  }

  void end(const Usage& usage, std::string& out) override {
    finish_calls();
    if (options_.stream) line(out);
    begin(out);
    append_said(out);
    append_logprobs(out, said_.logprobs);
    out += R"(,"done":true,"done_reason":")";
    out += options_.asks_nothing ? "load" : finish_ == FinishReason::kLength ? "length" : "stop";
    out += '"';
    if (!options_.asks_nothing) {
      const Duration total = facts_.elapsed();
      out += ',';
      append_metrics(out, usage, first_token_.value_or(total), total);
    }
    out += options_.stream && !options_.asks_nothing ? "}\n" : "}";
  }

  void failure(const Error& error, std::string& out) override {
    if (!options_.stream) {
      out = error_body(error);
      return;
    }
    out += error_body(error);
    out += '\n';
  }

 private:
  void take(const TokenEvent& event) {
    said_.text += event.text;
    said_.thinking += event.reasoning;
    said_.logprobs.insert(said_.logprobs.end(), event.logprobs.begin(), event.logprobs.end());
    for (const ToolCallDelta& delta : event.tool_calls) {
      if (open_ && open_->index != delta.index) finish_calls();
      if (!open_) open_ = ToolCallDelta{.index = delta.index};
      open_->name += delta.name;
      open_->arguments += delta.arguments;
    }
    if (event.finish) {
      finish_ = *event.finish;
      finish_calls();
    }
  }

  /// A call is told when its arguments are whole. What a limit cut off in the middle is no call; it is told
  /// as the text that it is.
  void finish_calls() {
    if (!open_) return;
    if (auto arguments = compact_object(open_->arguments.empty() ? "{}" : open_->arguments)) {
      open_->arguments = std::move(*arguments);
      said_.calls.push_back(std::move(*open_));
    } else {
      said_.text +=
          fmt::format(R"({{"name": {}, "arguments": {})", json_string(open_->name), open_->arguments);
    }
    open_.reset();
  }

  /// Logprobs of tokens without text go with the next text.
  void line(std::string& out) {
    if (said_.nothing()) return;
    begin(out);
    append_said(out);
    append_logprobs(out, said_.logprobs);
    out += ",\"done\":false}\n";
    said_ = {};
  }

  void begin(std::string& out) const {
    out += head_;
    out += timestamp(facts_.created, facts_.elapsed());
    out += '"';
  }

  void append_said(std::string& out) const {
    const bool chat = options_.shape == AnswerShape::kChat;
    out += chat ? R"(,"message":{"role":"assistant","content":)" : R"(,"response":)";
    append_json_string(out, said_.text);
    if (!said_.thinking.empty()) {
      out += R"(,"thinking":)";
      append_json_string(out, said_.thinking);
    }
    for (std::string_view before = R"(,"tool_calls":[)"; const ToolCallDelta& call : said_.calls) {
      out += std::exchange(before, ",");
      fmt::format_to(std::back_inserter(out), R"({{"function":{{"index":{},"name":)", call.index);
      append_json_string(out, call.name);
      out.append(R"(,"arguments":)").append(call.arguments).append("}}");
    }
    if (!said_.calls.empty()) out += ']';
    if (chat) out += '}';
  }

  AnswerFacts facts_;
  AnswerOptions options_;
  std::string head_;
  Said said_;  // since the last line; of a whole answer all
  std::optional<ToolCallDelta> open_;
  std::optional<FinishReason> finish_;
  std::optional<Duration> first_token_;
};

std::int64_t nanoseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count();
}

}  // namespace

std::string timestamp(std::int64_t unix_seconds, Duration later) {
  using namespace std::chrono;
  const auto since = seconds(unix_seconds) + duration_cast<microseconds>(later);
  const auto whole = floor<seconds>(since);
  return fmt::format("{:%FT%T}.{:06}Z", sys_seconds(whole), (since - whole).count());
}

void append_metrics(std::string& out, const Usage& usage, Duration first_token, Duration total) {
  fmt::format_to(std::back_inserter(out),
                 R"("total_duration":{},"load_duration":0,"prompt_eval_count":{},"prompt_eval_duration":{},)"
                 R"("eval_count":{},"eval_duration":{})",
                 nanoseconds(total), usage.prompt_tokens, nanoseconds(first_token), usage.completion_tokens,
                 nanoseconds(total - first_token));
}

DecodedCall make_call(Body body, AnswerShape shape, bool asks_nothing, std::uint32_t unknown_fields) {
  AnswerOptions options{
      .shape = shape, .stream = body.stream, .asks_nothing = asks_nothing, .model = body.model};
  const bool stream = body.stream;
  return DecodedCall{.model = std::move(body.model),
                     .work = std::move(body.work),
                     .stream = stream,
                     .unknown_fields = unknown_fields + body.unknown_options,
                     .asks_nothing = asks_nothing,
                     .make_encoder = [options = std::move(options)](
                                         const AnswerFacts& facts) -> std::unique_ptr<AnswerEncoder> {
                       return std::make_unique<LinesEncoder>(facts, options);
                     }};
}

}  // namespace autoglm::protocol::ollama
