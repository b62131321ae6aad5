#include "gateway/protocol/openai/text_encoder.h"

#include "base/json_string.h"
#include "base/utf8.h"
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

/// A token's text for people: its bytes, as far as they are characters.
void append_token_text(std::string& out, const TokenLogprob& token) {
  std::string text;
  append_valid_utf8(text, token.bytes);
  append_json_string(out, text);
}

void append_token(std::string& out, const TokenLogprob& token) {
  out += R"({"token":)";
  append_token_text(out, token);
  fmt::format_to(std::back_inserter(out), R"(,"logprob":{},"bytes":[)", token.logprob);
  for (std::size_t i = 0; i < token.bytes.size(); ++i) {
    fmt::format_to(std::back_inserter(out), "{}{}", i > 0 ? "," : "",
                   static_cast<unsigned char>(token.bytes[i]));
  }
  out += ']';
}

/// Chat's form: {"content":[{token, logprob, bytes, top_logprobs}]}.
void append_chat_logprobs(std::string& out, const std::vector<GeneratedLogprob>& logprobs) {
  out += R"({"content":[)";
  for (std::size_t i = 0; i < logprobs.size(); ++i) {
    if (i > 0) out += ',';
    append_token(out, logprobs[i].chosen);
    out += R"(,"top_logprobs":[)";
    for (std::size_t k = 0; k < logprobs[i].top.size(); ++k) {
      if (k > 0) out += ',';
      append_token(out, logprobs[i].top[k]);
      out += '}';
    }
    out += "]}";
  }
  out += R"(],"refusal":null})";
}

/// Completions' form: lists of tokens, their logprobs, the likeliest beside each, and where each begins.
/// `offset` counts characters and goes on.
void append_completion_logprobs(std::string& out, const std::vector<GeneratedLogprob>& logprobs,
                                std::size_t& offset) {
  std::string tokens, values, top, offsets;
  for (std::size_t i = 0; i < logprobs.size(); ++i) {
    const char* comma = i > 0 ? "," : "";
    tokens += comma;
    append_token_text(tokens, logprobs[i].chosen);
    fmt::format_to(std::back_inserter(values), "{}{}", comma, logprobs[i].chosen.logprob);
    fmt::format_to(std::back_inserter(offsets), "{}{}", comma, offset);
    offset += logprobs[i].chosen.bytes.size();
    top += comma;
    top += '{';
    for (std::size_t k = 0; k < logprobs[i].top.size(); ++k) {
      if (k > 0) top += ',';
      append_token_text(top, logprobs[i].top[k]);
      fmt::format_to(std::back_inserter(top), ":{}", logprobs[i].top[k].logprob);
    }
    top += '}';
  }
  fmt::format_to(std::back_inserter(out),
                 R"({{"tokens":[{}],"token_logprobs":[{}],"top_logprobs":[{}],"text_offset":[{}]}})", tokens,
                 values, top, offsets);
}

void append_tool_call(std::string& out, const ToolCallDelta& call) {
  out += R"("function":{)";
  if (!call.name.empty()) {
    out += R"("name":)";
    append_json_string(out, call.name);
    out += ',';
  }
  out += R"("arguments":)";
  append_json_string(out, call.arguments);
  out += '}';
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
      choice.reasoning += event.reasoning;
      choice.logprobs.insert(choice.logprobs.end(), event.logprobs.begin(), event.logprobs.end());
      for (const ToolCallDelta& delta : event.tool_calls) {
        if (choice.tool_calls.size() <= delta.index) choice.tool_calls.resize(delta.index + 1);
        ToolCallDelta& call = choice.tool_calls[delta.index];
        call.id += delta.id;
        call.name += delta.name;
        call.arguments += delta.arguments;
      }
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
        append_message(out, choices_[i]);
      } else {
        out += R"("text":)";
        append_json_string(out, choices_[i].text);
      }
      append_logprobs(out, choices_[i]);
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
    std::string reasoning;
    std::vector<ToolCallDelta> tool_calls;
    std::vector<GeneratedLogprob> logprobs;
    std::optional<FinishReason> finish;
  };

  static void append_message(std::string& out, const Choice& choice) {
    out += R"("message":{"role":"assistant","content":)";
    if (choice.text.empty() && !choice.tool_calls.empty()) {
      out += "null";
    } else {
      append_json_string(out, choice.text);
    }
    if (!choice.reasoning.empty()) {
      out += R"(,"reasoning_content":)";
      append_json_string(out, choice.reasoning);
    }
    for (std::size_t i = 0; i < choice.tool_calls.size(); ++i) {
      out += i == 0 ? R"(,"tool_calls":[{"id":)" : R"(,{"id":)";
      append_json_string(out, choice.tool_calls[i].id);
      out += R"(,"type":"function",)";
      append_tool_call(out, choice.tool_calls[i]);
      out += '}';
    }
    out += choice.tool_calls.empty() ? "}" : "]}";
  }

  void append_logprobs(std::string& out, const Choice& choice) const {
    out += R"(,"logprobs":)";
    std::size_t offset = 0;
    if (choice.logprobs.empty()) {
      out += "null";
    } else if (shape_ == AnswerShape::kChat) {
      append_chat_logprobs(out, choice.logprobs);
    } else {
      append_completion_logprobs(out, choice.logprobs, offset);
    }
    out += ',';
  }

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
      : shape_(shape), options_(options), choices_(choices) {
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
    Choice& choice = hold_logprobs(event);
    if (event.text.empty() && !event.finish) return;
    begin_frame(out);
    fmt::format_to(std::back_inserter(out), R"({{"index":{},"text":)", event.choice);
    append_json_string(out, event.text);
    append_held_logprobs(choice, out);
    append_finish(out, event.finish);
    out += '}';
    out += tail_;
  }

  /// OpenAI's order for a choice: the role, then content, then an empty delta with the reason.
  void chat_frames(const TokenEvent& event, std::string& out) {
    Choice& choice = hold_logprobs(event);
    if (!choice.begun) {
      choice.begun = true;
      delta_frame(event.choice, R"("role":"assistant","content":"")", std::nullopt, out);
    }
    std::string delta;
    if (!event.reasoning.empty()) {
      delta = R"("reasoning_content":)";
      append_json_string(delta, event.reasoning);
      delta_frame(event.choice, delta, std::nullopt, out);
    }
    if (!event.text.empty()) {
      delta = R"("content":)";
      append_json_string(delta, event.text);
      delta_frame(event.choice, delta, std::nullopt, out);
    }
    for (const ToolCallDelta& call : event.tool_calls) {
      delta = fmt::format(R"("tool_calls":[{{"index":{},)", call.index);
      if (!call.id.empty()) {
        delta += R"("id":)";
        append_json_string(delta, call.id);
        delta += R"(,"type":"function",)";
      }
      append_tool_call(delta, call);
      delta += "}]";
      delta_frame(event.choice, delta, std::nullopt, out);
    }
    if (event.finish) delta_frame(event.choice, "", event.finish, out);
  }

  struct Choice {
    bool begun = false;  // its role has been sent
    std::size_t offset = 0;
    std::vector<GeneratedLogprob> logprobs;  // of tokens whose text has not been sent
  };

  /// A token may have no text yet; its logprob goes with the next frame.
  Choice& hold_logprobs(const TokenEvent& event) {
    Choice& choice = choices_[event.choice];
    choice.logprobs.insert(choice.logprobs.end(), event.logprobs.begin(), event.logprobs.end());
    return choice;
  }

  void append_held_logprobs(Choice& choice, std::string& out) {
    out += R"(,"logprobs":)";
    if (choice.logprobs.empty()) {
      out += "null";
    } else if (shape_ == AnswerShape::kChat) {
      append_chat_logprobs(out, choice.logprobs);
    } else {
      append_completion_logprobs(out, choice.logprobs, choice.offset);
    }
    out += ',';
    choice.logprobs.clear();
  }

  void delta_frame(std::uint32_t choice, std::string_view delta, std::optional<FinishReason> finish,
                   std::string& out) {
    begin_frame(out);
    fmt::format_to(std::back_inserter(out), R"({{"index":{},"delta":{{{}}})", choice, delta);
    append_held_logprobs(choices_[choice], out);
    append_finish(out, finish);
    out += '}';
    out += tail_;
  }

  AnswerShape shape_;
  Options options_;
  std::string head_;
  std::string tail_;
  std::vector<Choice> choices_;
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
