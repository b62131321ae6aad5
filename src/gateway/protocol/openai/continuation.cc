#include "gateway/protocol/openai/continuation.h"

#include "base/json_string.h"
#include "gateway/protocol/openai/frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::protocol::openai {

namespace {

/// Opens an answer and says nothing else, such as the delta with the role.
bool only_opens(const Frame& frame) {
  return !frame.usage && std::ranges::all_of(frame.events, [](const TokenEvent& event) {
    return event.text.empty() && event.reasoning.empty() && event.tool_calls.empty() && !event.finish;
  });
}

/// `messages`, a list, and behind them the beginning of the answer.
Result<std::string> with_answer(std::string_view messages, std::string_view said) {
  if (!messages.starts_with('[') || !messages.ends_with(']')) {
    return fail(invalid_field(
        "messages", "the stream broke, and another endpoint cannot go on with it: its messages are no list"));
  }
  messages.remove_suffix(1);
  const bool none = messages.find_first_not_of(" \t\r\n", 1) == std::string_view::npos;
  return fmt::format(R"({}{}{{"role":"assistant","content":{}}}])", messages, none ? "" : ",",
                     json_string(said));
}

std::string usage_json(const Usage& usage, std::uint32_t tokens) {
  // What was said before the break was part of the second prompt.
  const std::uint32_t prompt = usage.prompt_tokens - std::min(usage.prompt_tokens, tokens);
  const std::uint32_t completion = usage.completion_tokens + tokens;
  return fmt::format(R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}})", prompt, completion,
                     prompt + completion);
}

}  // namespace

bool is_plain_text(const GenerateRequest& work) {
  const Prompt& prompt = work.prompts.front();
  const auto* chat = std::get_if<ChatPrompt>(&prompt);
  return work.choices() == 1 && !work.top_logprobs && !work.prompt_logprobs && !work.echo &&
         work.format.kind == OutputFormat::Kind::kText && !std::holds_alternative<TokenPrompt>(prompt) &&
         (chat == nullptr || (chat->tools.empty() && !chat->continue_final_message));
}

Result<std::vector<JsonEdit>> continuation_edits(const WireBody& wire, const GenerateRequest& work) {
  std::vector<JsonEdit> edits;
  if (const auto* text = std::get_if<TextPrompt>(&work.prompts.front())) {
    edits.push_back({"prompt", json_string(text->text + work.resume_text)});
  } else {
    auto messages = with_answer(member_value(wire.bytes, "messages"), work.resume_text);
    if (!messages) return fail(std::move(messages).error());
    edits.push_back({"messages", std::move(*messages)});
    edits.push_back({"add_generation_prompt", "false"});
    edits.push_back({"continue_final_message", "true"});
  }
  if (work.stop.max_tokens) {
    const std::uint32_t said = work.resume_text_tokens;
    const std::uint32_t left = *work.stop.max_tokens > said ? *work.stop.max_tokens - said : 1;
    // Servers differ in which of the two names they prefer.
    const bool newer = !member_value(wire.bytes, "max_completion_tokens").empty();
    if (newer) edits.push_back({"max_completion_tokens", std::to_string(left)});
    if (!newer || !member_value(wire.bytes, "max_tokens").empty())
      edits.push_back({"max_tokens", std::to_string(left)});
  }
  return edits;
}

AnswerIdentity read_identity(std::string_view raw) {
  std::string joined;
  const auto data = frame_data(next_frame(raw, 0), joined);
  if (!data || !data->starts_with('{')) return {};
  return {.id = std::string(member_value(*data, "id")),
          .created = std::string(member_value(*data, "created")),
          .model = std::string(member_value(*data, "model"))};
}

std::string continue_frames(std::string_view raw, const AnswerIdentity& identity, std::uint32_t tokens) {
  std::string out;
  std::string joined;
  for (std::size_t at = 0; at < raw.size();) {
    const std::string_view bytes = next_frame(raw, at);
    if (bytes.empty()) break;
    at += bytes.size();
    const auto data = frame_data(bytes, joined);
    if (!data) continue;
    const auto frame = data->starts_with('{') ? read_frame(*data) : Result<Frame>(Frame());
    if (!frame || !data->starts_with('{')) {
      // Written anew: its line ends may have been read together with an event that is left out.
      for (const char letter : "data: " + std::string(*data))
        out += letter == '\n' ? "\ndata: " : std::string(1, letter);
      out += "\n\n";
      continue;
    }
    if (only_opens(*frame)) continue;
    std::vector<JsonEdit> edits;
    const auto keep = [&edits](std::string_view key, const std::string& value) {
      if (!value.empty()) edits.push_back({key, value});
    };
    keep("id", identity.id);
    keep("created", identity.created);
    keep("model", identity.model);
    if (frame->usage) edits.push_back({"usage", usage_json(*frame->usage, tokens)});
    std::string edited = edit_members(*data, edits);
    std::ranges::replace(edited, '\n', ' ');  // it may have come as several lines
    std::ranges::replace(edited, '\r', ' ');
    out += "data: " + edited + "\n\n";
  }
  return out;
}

std::string end_frames(const AnswerIdentity& identity, WireBody::Protocol protocol, bool reason) {
  std::string out;
  if (reason) {
    const bool chat = protocol == WireBody::Protocol::kChat;
    const auto or_null = [](const std::string& value) { return value.empty() ? "null" : value; };
    out = fmt::format(
        R"(data: {{"id":{},"object":"{}","created":{},"model":{},"choices":[{{"index":0,{},"logprobs":null,)"
        R"("finish_reason":"length"}}]}})"
        "\n\n",
        or_null(identity.id), chat ? "chat.completion.chunk" : "text_completion", or_null(identity.created),
        or_null(identity.model), chat ? R"("delta":{})" : R"("text":"")");
  }
  return out + "data: [DONE]\n\n";
}

}  // namespace autoglm::protocol::openai
