#include "gateway/protocol/grpc/text_codecs.h"

#include "gateway/protocol/grpc/fields.h"
#include "gateway/protocol/grpc/frames.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

namespace autoglm::protocol::grpc {

namespace {

constexpr std::uint32_t kCompletionTokens = 16;  // OpenAI's, for completions

v1::FinishReason to_message(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return v1::FINISH_REASON_STOP;
    case FinishReason::kLength:
      return v1::FINISH_REASON_LENGTH;
    case FinishReason::kToolCalls:
      return v1::FINISH_REASON_TOOL_CALLS;
  }
  return v1::FINISH_REASON_UNSPECIFIED;
}

void fill(v1::Logprob& to, const TokenLogprob& from) {
  to.set_token(from.token);
  to.set_logprob(from.logprob);
  to.set_text(from.bytes);
}

void fill(v1::TextDelta& to, const TokenEvent& from) { to.set_text(from.text); }

void fill(v1::ChatDelta& to, const TokenEvent& from) {
  to.set_content(from.text);
  to.set_reasoning(from.reasoning);
  for (const ToolCallDelta& call : from.tool_calls) {
    v1::ToolCallDelta& delta = *to.add_tool_calls();
    delta.set_index(call.index);
    delta.set_id(call.id);
    delta.set_name(call.name);
    delta.set_arguments(call.arguments);
  }
}

/// Writes a message a batch. One object holds them all in turn, so that a stream allocates nothing for them.
template <class Response>
class StreamEncoder final : public AnswerEncoder {
 public:
  StreamEncoder(AnswerFacts facts, bool token_ids) : facts_(std::move(facts)), token_ids_(token_ids) {}

  std::string_view content_type() const override { return "application/grpc"; }

  void events(const EventBatch& batch, std::string& out) override {
    message_.Clear();
    for (const TokenEvent& event : batch.events) {
      if (tells(event)) add(event);
    }
    if (!message_.deltas().empty()) append(out);
  }

  void end(const Usage& usage, std::string& out) override {
    message_.Clear();
    v1::Usage& told = *message_.mutable_usage();
    told.set_prompt_tokens(usage.prompt_tokens);
    told.set_cached_tokens(usage.cached_tokens);
    told.set_completion_tokens(usage.completion_tokens);
    append(out);
  }

  void failure(const Error& /*error*/, std::string& /*out*/) override {}  // the status says it

 private:
  bool tells(const TokenEvent& event) const {
    return !event.text.empty() || !event.reasoning.empty() || !event.tool_calls.empty() || event.finish ||
           !event.logprobs.empty() || (token_ids_ && !event.tokens.empty());
  }

  void add(const TokenEvent& event) {
    auto& delta = *message_.add_deltas();
    delta.set_choice(event.choice);
    fill(delta, event);
    if (event.finish) delta.set_finish_reason(to_message(*event.finish));
    if (token_ids_) delta.mutable_token_ids()->Add(event.tokens.begin(), event.tokens.end());
    for (const GeneratedLogprob& each : event.logprobs) {
      v1::TokenLogprob& told = *delta.add_logprobs();
      fill(*told.mutable_chosen(), each.chosen);
      for (const TokenLogprob& likely : each.top) fill(*told.add_top(), likely);
    }
  }

  void append(std::string& out) {
    if (!std::exchange(begun_, true)) {
      message_.set_id(facts_.id);
      message_.set_model(facts_.model);
    }
    append_message(out, message_);
  }

  AnswerFacts facts_;
  bool token_ids_;
  bool begun_ = false;
  Response message_;
};

template <class Response, class Request>
Result<DecodedCall> finish(Request& message, GenerateRequest work, std::optional<std::uint32_t> max_tokens) {
  if (auto read = read_generation(message, max_tokens, work); !read) return fail(std::move(read).error());
  const auto priority = read_priority(message.priority());
  if (!priority) return fail(priority.error());
  return DecodedCall{.model = std::move(*message.mutable_model()),
                     .work = std::move(work),
                     .stream = true,
                     .priority = *priority,
                     .make_encoder = [token_ids = message.report().token_ids()](
                                         AnswerFacts facts) -> std::unique_ptr<AnswerEncoder> {
                       return std::make_unique<StreamEncoder<Response>>(std::move(facts), token_ids);
                     }};
}

Result<void> read_tool_use(const v1::ChatRequest& message, ChatPrompt& chat) {
  switch (message.tool_choice()) {
    case v1::TOOL_CHOICE_UNSPECIFIED:
    case v1::TOOL_CHOICE_AUTO:
      break;
    case v1::TOOL_CHOICE_NONE:
      chat.tool_use = ToolUse::kNone;
      break;
    case v1::TOOL_CHOICE_REQUIRED:
      chat.tool_use = ToolUse::kRequired;
      break;
    default:
      return fail(invalid_field("tool_choice", fmt::format("tool_choice has no value {}",
                                                           static_cast<int>(message.tool_choice()))));
  }
  if (chat.tool_use == ToolUse::kRequired && chat.tools.empty())
    return fail(invalid_field("tool_choice", "tool_choice asks for a tool, but there are no tools"));
  return {};
}

Result<ChatPrompt> read_chat(v1::ChatRequest& message) {
  ChatPrompt chat;
  auto messages = read_messages(*message.mutable_messages(), "messages");
  if (!messages) return fail(std::move(messages).error());
  chat.messages = std::move(*messages);
  auto tools = read_tools(*message.mutable_tools(), "tools");
  if (!tools) return fail(std::move(tools).error());
  chat.tools = std::move(*tools);
  auto arguments = read_template_arguments(message.chat_template_kwargs());
  if (!arguments) return fail(std::move(arguments).error());
  chat.template_arguments = std::move(*arguments);
  if (auto read = read_tool_use(message, chat); !read) return fail(std::move(read).error());
  chat.parallel_tool_calls = !message.has_parallel_tool_calls() || message.parallel_tool_calls();
  chat.continue_final_message = message.continue_final_message();
  if (chat.continue_final_message && chat.messages.back().role != "assistant") {
    return fail(invalid_field("continue_final_message",
                              "continue_final_message needs a last message of the assistant"));
  }
  return chat;
}

}  // namespace

Result<DecodedCall> GenerateCodec::decode(std::string_view bytes) const {
  auto message = parse<v1::GenerateRequest>(bytes);
  if (!message) return fail(std::move(message).error());
  GenerateRequest work{.echo = message->echo()};
  switch (message->prompt_case()) {
    case v1::GenerateRequest::kText:
      work.prompts.front() = TextPrompt{std::move(*message->mutable_text())};
      break;
    case v1::GenerateRequest::kTokens: {
      auto tokens = read_tokens(message->tokens().ids(), "tokens.ids");
      if (!tokens) return fail(std::move(tokens).error());
      work.prompts.front() = std::move(*tokens);
      break;
    }
    case v1::GenerateRequest::PROMPT_NOT_SET:
      return fail(
          invalid_field("prompt", "prompt is missing: set text or tokens", "missing_required_parameter"));
  }
  return finish<v1::GenerateResponse>(*message, std::move(work), kCompletionTokens);
}

Result<DecodedCall> ChatCodec::decode(std::string_view bytes) const {
  auto message = parse<v1::ChatRequest>(bytes);
  if (!message) return fail(std::move(message).error());
  auto chat = read_chat(*message);
  if (!chat) return fail(std::move(chat).error());
  GenerateRequest work;
  work.prompts.front() = std::move(*chat);
  return finish<v1::ChatResponse>(*message, std::move(work), std::nullopt);
}

}  // namespace autoglm::protocol::grpc
