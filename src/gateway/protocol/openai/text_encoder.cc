#include "gateway/protocol/openai/text_encoder.h"

#include "base/json_string.h"
#include "gateway/protocol/openai/error.h"

#include <fmt/format.h>

#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::protocol::openai {

namespace {

void append_usage(std::string& out, const Usage& usage) {
  fmt::format_to(
      std::back_inserter(out),
      R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{}}}}})",
      usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens + usage.completion_tokens,
      usage.cached_tokens);
}

void append_finish(std::string& out, const std::optional<FinishReason>& finish) {
  if (finish) {
    fmt::format_to(std::back_inserter(out), R"("finish_reason":"{}")", to_string(*finish));
  } else {
    out += R"("finish_reason":null)";
  }
}

/// `{"id":"…","object":"…","created":…,"model":"…"`: what every document and every frame begins with.
std::string head_of(const AnswerFacts& facts, AnswerShape shape, bool stream) {
  const bool chat = shape == AnswerShape::kChat;
  std::string head = R"({"id":)";
  append_json_string(head, (chat ? "chatcmpl-" : "cmpl-") + facts.id);
  head += R"(,"object":")";
  head += !chat ? "text_completion" : stream ? "chat.completion.chunk" : "chat.completion";
  fmt::format_to(std::back_inserter(head), R"(","created":{},"model":)", facts.created);
  append_json_string(head, facts.model);
  return head;
}

/// The whole answer as one document.
class DocumentEncoder final : public AnswerEncoder {
 public:
  DocumentEncoder(const AnswerFacts& facts, AnswerShape shape, std::uint32_t choices)
      : shape_(shape), head_(head_of(facts, shape, false)), choices_(choices) {}

  std::string_view content_type() const override { return "application/json"; }

  void events(const EventBatch& batch, std::string& /*out*/) override {
    for (const TokenEvent& event : batch.events) {
      Choice& choice = choices_[event.choice];
      choice.text += event.text;
      if (event.finish) choice.finish = event.finish;
    }
  }

  void end(const Usage& usage, std::string& out) override {
    out += head_;
    out += R"(,"choices":[)";
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      if (i > 0) out += ',';
      fmt::format_to(std::back_inserter(out), R"({{"index":{},)", i);
      if (shape_ == AnswerShape::kChat) {
        out += R"("message":{"role":"assistant","content":)";
        append_json_string(out, choices_[i].text);
        out += "},";
      } else {
        out += R"("text":)";
        append_json_string(out, choices_[i].text);
        out += ',';
      }
      out += R"("logprobs":null,)";
      append_finish(out, choices_[i].finish);
      out += '}';
    }
    out += R"(],"usage":)";
    append_usage(out, usage);
    out += '}';
  }

  void failure(const Error& error, std::string& out) override { out = error_body(error); }

 private:
  struct Choice {
    std::string text;
    std::optional<FinishReason> finish;
  };

  AnswerShape shape_;
  std::string head_;
  std::vector<Choice> choices_;
};

/// Server-sent events, a frame an event. What frames share is written once.
class StreamEncoder final : public AnswerEncoder {
 public:
  struct Options {
    bool include_usage = false;
    bool include_event_ids = false;
  };

  StreamEncoder(const AnswerFacts& facts, AnswerShape shape, std::uint32_t choices, Options options)
      : shape_(shape), options_(options), begun_(choices, false) {
    head_ = "data: " + head_of(facts, shape, true) + R"(,"choices":[)";
    tail_ = options.include_usage ? "],\"usage\":null}\n\n" : "]}\n\n";
  }

  std::string_view content_type() const override { return "text/event-stream; charset=utf-8"; }

  void events(const EventBatch& batch, std::string& out) override {
    for (const TokenEvent& event : batch.events) {
      if (shape_ == AnswerShape::kChat) {
        chat_frames(event, out);
      } else {
        completion_frame(event, out);
      }
    }
  }

  void end(const Usage& usage, std::string& out) override {
    if (options_.include_usage) {
      begin_frame(out);
      out += R"(],"usage":)";
      append_usage(out, usage);
      out += "}\n\n";
    }
    out += "data: [DONE]\n\n";
  }

  void failure(const Error& error, std::string& out) override {
    out += "data: ";
    out += error_body(error);
    out += "\n\n";
  }

 private:
  void begin_frame(std::string& out) {
    if (options_.include_event_ids) fmt::format_to(std::back_inserter(out), "id: {}\n", next_event_id_++);
    out += head_;
  }

  void completion_frame(const TokenEvent& event, std::string& out) {
    if (event.text.empty() && !event.finish) return;
    begin_frame(out);
    fmt::format_to(std::back_inserter(out), R"({{"index":{},"text":)", event.choice);
    append_json_string(out, event.text);
    out += R"(,"logprobs":null,)";
    append_finish(out, event.finish);
    out += '}';
    out += tail_;
  }

  /// OpenAI's order for a choice: the role, then content, then an empty delta with the reason.
  void chat_frames(const TokenEvent& event, std::string& out) {
    if (!begun_[event.choice]) {
      begun_[event.choice] = true;
      delta_frame(event.choice, R"("role":"assistant","content":"")", std::nullopt, out);
    }
    if (!event.text.empty()) {
      std::string content = R"("content":)";
      append_json_string(content, event.text);
      delta_frame(event.choice, content, std::nullopt, out);
    }
    if (event.finish) delta_frame(event.choice, "", event.finish, out);
  }

  void delta_frame(std::uint32_t choice, std::string_view delta, std::optional<FinishReason> finish,
                   std::string& out) {
    begin_frame(out);
    fmt::format_to(std::back_inserter(out), R"({{"index":{},"delta":{{{}}},"logprobs":null,)", choice, delta);
    append_finish(out, finish);
    out += '}';
    out += tail_;
  }

  AnswerShape shape_;
  Options options_;
  std::string head_;
  std::string tail_;
  std::vector<bool> begun_;  // of each choice: whether its role has been sent
  std::uint64_t next_event_id_ = 0;
};

}  // namespace

DecodedCall make_call(GenerateBody body, AnswerShape shape, std::uint32_t unknown_fields) {
  const StreamEncoder::Options options{.include_usage = body.include_usage,
                                       .include_event_ids = body.include_event_ids};
  const std::uint32_t choices = body.work.n;
  const bool stream = body.stream;
  return DecodedCall{.model = std::move(body.model),
                     .work = std::move(body.work),
                     .stream = stream,
                     .priority = body.priority,
                     .unknown_fields = unknown_fields,
                     .make_encoder = [shape, choices, stream,
                                      options](const AnswerFacts& facts) -> std::unique_ptr<AnswerEncoder> {
                       if (stream) return std::make_unique<StreamEncoder>(facts, shape, choices, options);
                       return std::make_unique<DocumentEncoder>(facts, shape, choices);
                     }};
}

}  // namespace autoglm::protocol::openai
