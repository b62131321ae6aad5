#include "gateway/protocol/openai/text_encoder.h"

#include "base/json_string.h"
#include "gateway/protocol/openai/answer_json.h"
#include "gateway/protocol/openai/error.h"
#include "gateway/protocol/openai/frame.h"
#include "gateway/protocol/openai/logprob_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::protocol::openai {

namespace {

/// Which parts of its events an answer shows, and how.
struct AnswerOptions {
  std::uint32_t choices = 1;
  std::uint32_t per_prompt = 1;
  std::uint32_t kept = 1;  ///< of per_prompt; all of them when streamed
  bool include_usage = false;
  bool include_event_ids = false;
  bool logprobs = false;
  bool prompt_logprobs = false;
  bool echo = false;
  bool return_tokens = false;
  std::vector<bool> begun;        ///< choices that another server has begun
  std::vector<std::string> stop;  ///< the client's stop strings

  /// The stop string that ended a choice, if it is one of the client's.
  std::string_view shown(const std::string& ended_by) const {
    return std::ranges::find(stop, ended_by) == stop.end() ? std::string_view() : std::string_view(ended_by);
  }
};

/// The whole answer as one document.
class DocumentEncoder final : public AnswerEncoder {
 public:
  DocumentEncoder(const AnswerFacts& facts, AnswerShape shape, const AnswerOptions& options)
      : shape_(shape), options_(options), facts_(facts), choices_(options.choices) {
    for (std::size_t i = 0; i < choices_.size(); ++i) choices_[i].number = i;
  }

  std::string_view content_type() const override { return "application/json"; }

  void events(const EventBatch& batch, std::string& /*out*/) override {
    for (const TokenEvent& event : batch.events) {
      Choice& choice = choices_[event.choice];
      choice.text += event.text;
      choice.reasoning += event.reasoning;
      choice.tokens.insert(choice.tokens.end(), event.tokens.begin(), event.tokens.end());
      choice.logprobs.insert(choice.logprobs.end(), event.logprobs.begin(), event.logprobs.end());
      choice.prompt.insert(choice.prompt.end(), event.prompt_logprobs.begin(), event.prompt_logprobs.end());
      for (const ToolCallDelta& delta : event.tool_calls) {
        if (choice.tool_calls.size() <= delta.index) choice.tool_calls.resize(delta.index + 1);
        ToolCallDelta& call = choice.tool_calls[delta.index];
        call.id += delta.id;
        call.name += delta.name;
        call.arguments += delta.arguments;
      }
      if (!event.finish) continue;
      choice.finish = event.finish;
      choice.stop = event.stop;
    }
  }

  void end(const Usage& usage, std::string& out) override {
    share_prompts();
    keep_best();
    out += answer_head(facts_, shape_, false);  // only now: an answer that is passed through needs no head
    out += R"(,"choices":[)";
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      if (i > 0) out += ',';
      fmt::format_to(std::back_inserter(out), R"({{"index":{},)", i);
      append_choice(out, choices_[i]);
      out += '}';
    }
    out += ']';
    if (options_.prompt_logprobs && shape_ == AnswerShape::kChat) {
      out += ',';
      append_prompt_logprobs(out, choices_.front().prompt);
    }
    out += R"(,"usage":)";
    append_usage(out, usage);
    out += '}';
  }

  void failure(const Error& error, std::string& out) override { out = error_body(error); }

 private:
  struct Choice {
    std::size_t number = 0;
    std::string text;
    std::string reasoning;
    std::vector<TokenId> tokens;
    std::vector<ToolCallDelta> tool_calls;
    std::vector<GeneratedLogprob> logprobs;
    std::vector<GeneratedLogprob> prompt;
    std::optional<FinishReason> finish;
    std::string stop;

    double mean_logprob() const {
      double sum = 0;
      for (const GeneratedLogprob& logprob : logprobs) sum += logprob.chosen.logprob;
      return logprobs.empty() ? 0 : sum / static_cast<double>(logprobs.size());
    }
  };

  /// A prompt is reported once, with its first choice; every choice shows it.
  void share_prompts() {
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      if (i % options_.per_prompt != 0) choices_[i].prompt = choices_[i - i % options_.per_prompt].prompt;
    }
  }

  /// Of each prompt's choices the likeliest, when more were made than asked for.
  void keep_best() {
    if (options_.kept == options_.per_prompt) return;
    std::vector<Choice> kept;
    for (auto group = choices_.begin(); group != choices_.end(); group += options_.per_prompt) {
      std::sort(group, group + options_.per_prompt, [](const Choice& a, const Choice& b) {
        return std::pair(-a.mean_logprob(), a.number) < std::pair(-b.mean_logprob(), b.number);
      });
      std::move(group, group + options_.kept, std::back_inserter(kept));
    }
    choices_ = std::move(kept);
  }

  void append_choice(std::string& out, Choice& choice) const {
    if (shape_ == AnswerShape::kChat) {
      append_message(out, choice);
    } else {
      out += R"("text":)";
      append_json_string(out, choice.text);
    }
    out += R"(,"logprobs":)";
    if (options_.echo)
      choice.logprobs.insert(choice.logprobs.begin(), choice.prompt.begin(), choice.prompt.end());
    if (choice.logprobs.empty() || !options_.logprobs) {
      out += "null";
    } else if (shape_ == AnswerShape::kChat) {
      append_chat_logprobs(out, choice.logprobs);
    } else {
      append_completion_logprobs(out, choice.logprobs);
    }
    out += ',';
    if (options_.prompt_logprobs && shape_ == AnswerShape::kCompletion) {
      append_prompt_logprobs(out, choice.prompt);
      out += ',';
    }
    if (options_.return_tokens) {
      append_token_ids(out, choice.tokens);
      out += ',';
    }
    append_finish(out, choice.finish, options_.shown(choice.stop));
  }

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
    out += choice.tool_calls.empty() ? R"(,"refusal":null})" : R"(],"refusal":null})";
  }

  AnswerShape shape_;
  AnswerOptions options_;
  AnswerFacts facts_;
  std::vector<Choice> choices_;
};

/// Server-sent events, a frame an event. The bytes that all frames share are made once.
class StreamEncoder final : public AnswerEncoder {
 public:
  StreamEncoder(const AnswerFacts& facts, AnswerShape shape, const AnswerOptions& options)
      : shape_(shape), options_(options), tells_usage_(facts.tells_usage), choices_(options.choices) {
    head_ = "data: " + answer_head(facts, shape, true) + R"(,"choices":[)";
    tail_ = options.include_usage ? "],\"usage\":null}\n\n" : "]}\n\n";
    for (std::size_t i = 0; i < options.begun.size(); ++i) choices_[i].begun = options.begun[i];
  }

  std::string_view content_type() const override { return "text/event-stream; charset=utf-8"; }
  // Not followed by an empty line: some clients take that for an event without data, when an earlier one had
  // an id.
  std::string_view keep_alive() const override { return ": keep-alive\n"; }

  void events(const EventBatch& batch, std::string& out) override {
    for (const TokenEvent& event : batch.events) {
      if (shape_ == AnswerShape::kChat) {
        chat_frames(event, out);
      } else {
        completion_frame(event, out);
      }
    }
  }

  void passed(const EventBatch& batch) override {
    for (const TokenEvent& event : batch.events)
      if (event.choice < choices_.size()) choices_[event.choice].begun = true;
  }

  void end(const Usage& usage, std::string& out) override {
    if (tells_usage_) out += usage_comment(usage);
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
    Choice& choice = hold(event);
    if (event.text.empty() && !event.finish && !options_.return_tokens) return;
    begin_frame(out);
    fmt::format_to(std::back_inserter(out), R"({{"index":{},"text":)", event.choice);
    append_json_string(out, event.text);
    append_held(choice, out);
    if (options_.return_tokens) {
      append_token_ids(out, event.tokens);
      out += ',';
    }
    append_finish(out, event.finish, options_.shown(event.stop));
    out += '}';
    out += tail_;
  }

  /// OpenAI's order: the role, content, an empty delta with the reason. Token ids end an event's last frame,
  /// so that a client which has them has all of the event; logprobs stand in the frame that has their text.
  void chat_frames(const TokenEvent& event, std::string& out) {
    Choice& choice = hold(event);
    std::vector<std::string> deltas;
    const bool begins = !std::exchange(choice.begun, true);
    if (begins) deltas.emplace_back(R"("role":"assistant","content":"")");
    if (!event.reasoning.empty())
      append_json_string(deltas.emplace_back(R"("reasoning_content":)"), event.reasoning);
    if (!event.text.empty()) append_json_string(deltas.emplace_back(R"("content":)"), event.text);
    for (const ToolCallDelta& call : event.tool_calls) {
      std::string& delta = deltas.emplace_back(fmt::format(R"("tool_calls":[{{"index":{},)", call.index));
      if (!call.id.empty()) {
        delta += R"("id":)";
        append_json_string(delta, call.id);
        delta += R"(,"type":"function",)";
      }
      append_tool_call(delta, call);
      delta += "}]";
    }
    if (event.finish || (deltas.empty() && options_.return_tokens)) deltas.emplace_back();
    for (std::size_t i = 0; i < deltas.size(); ++i) {
      const bool last = i + 1 == deltas.size();
      begin_delta(event, deltas[i], out);
      if (begins && i == 0 && !last) {
        out += R"(,"logprobs":null,)";
      } else {
        append_held(choice, out);
      }
      end_delta(event, last, out);
    }
  }

  struct Choice {
    bool begun = false;                      // its role has been sent
    std::vector<GeneratedLogprob> logprobs;  // of tokens whose text has not been sent
  };

  /// A token may have no text yet; its logprob goes with the next frame.
  Choice& hold(const TokenEvent& event) {
    Choice& choice = choices_[event.choice];
    if (options_.echo) {
      choice.logprobs.insert(choice.logprobs.end(), event.prompt_logprobs.begin(),
                             event.prompt_logprobs.end());
    }
    choice.logprobs.insert(choice.logprobs.end(), event.logprobs.begin(), event.logprobs.end());
    return choice;
  }

  void append_held(Choice& choice, std::string& out) {
    out += R"(,"logprobs":)";
    if (choice.logprobs.empty()) {
      out += "null";
    } else if (shape_ == AnswerShape::kChat) {
      append_chat_logprobs(out, choice.logprobs);
    } else {
      append_completion_logprobs(out, choice.logprobs);
    }
    out += ',';
    choice.logprobs.clear();
  }

  void begin_delta(const TokenEvent& event, std::string_view delta, std::string& out) {
    begin_frame(out);
    fmt::format_to(std::back_inserter(out), R"({{"index":{},"delta":{{{}}})", event.choice, delta);
  }

  void end_delta(const TokenEvent& event, bool last, std::string& out) {
    if (options_.return_tokens && last) {
      append_token_ids(out, event.tokens);
      out += ',';
    }
    append_finish(out, last ? event.finish : std::nullopt, options_.shown(event.stop));
    out += '}';
    out += tail_;
  }

  AnswerShape shape_;
  AnswerOptions options_;
  bool tells_usage_;
  std::string head_;
  std::string tail_;
  std::vector<Choice> choices_;
  std::uint64_t next_event_id_ = 0;
};

}  // namespace

DecodedCall make_call(GenerateBody body, AnswerShape shape, std::uint32_t unknown_fields) {
  const GenerateRequest& work = body.work;
  AnswerOptions options{.choices = work.choices(),
                        .per_prompt = work.n,
                        .kept = body.best_of ? body.n : work.n,
                        .include_usage = body.include_usage,
                        .include_event_ids = body.include_event_ids,
                        .logprobs = body.logprobs,
                        .prompt_logprobs = body.prompt_logprobs,
                        .echo = work.echo,
                        .return_tokens = body.return_tokens,
                        .begun = {},
                        .stop = work.stop.stop};
  for (const auto& tokens : work.resume) options.begun.push_back(!tokens.empty());
  const bool stream = body.stream;
  return DecodedCall{
      .model = std::move(body.model),
      .work = std::move(body.work),
      .stream = stream,
      .protocol = shape == AnswerShape::kChat ? WireBody::Protocol::kChat : WireBody::Protocol::kCompletions,
      .priority = body.priority,
      .created = body.created,
      .unknown_fields = unknown_fields,
      .make_encoder = [shape, stream, options = std::move(options)](
                          const AnswerFacts& facts) -> std::unique_ptr<AnswerEncoder> {
        if (stream) return std::make_unique<StreamEncoder>(facts, shape, options);
        return std::make_unique<DocumentEncoder>(facts, shape, options);
      }};
}

}  // namespace autoglm::protocol::openai
