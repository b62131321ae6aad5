#include "gateway/protocol/anthropic/client_body.h"

#include "gateway/protocol/carried.h"
#include "gateway/protocol/json/object_writer.h"
#include "gateway/protocol/whole_answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>
#include <vector>

namespace autoglm::protocol::anthropic {

namespace {

constexpr Carried kCarried{.chats = true,
                           .tools = true,
                           .tool_choice = true,
                           .single_tool = true,
                           .continues = true,
                           .top_k = true,
                           .json_schema = true};
// The API wants a limit, and a client need not name one.
constexpr std::uint32_t kDefaultMaxTokens = 4096;
constexpr std::uint32_t kLeastThinking = 1024;  // the API's
constexpr std::uint32_t kAnswerPart = 4;        // of a limit, at least a fourth is left to the answer

std::string place(std::size_t message, std::string_view member) {
  return fmt::format("messages[{}].{}", message, member);
}

/// Writes the messages behind the system's, as turns of the user and the assistant.
class Turns {
 public:
  Turns(std::string& out, std::string_view protocol) : out_(out), protocol_(protocol) { out_ += '['; }

  /// `goes_on`: the answer begins with this message.
  Result<void> add(std::size_t index, const ChatMessage& message, bool goes_on) {
    const bool tool = message.role == "tool";
    if (message.role == "system") {
      return fail(cannot_carry(place(index, "role"), protocol_,
                               "must not be \"system\" behind other messages: put it first"));
    }
    if (!message.name.empty() && !tool) return fail(cannot_carry(place(index, "name"), protocol_));
    // A thought goes back to the API only with the signature that came with it, which no other protocol has.
    // Those of earlier turns are left out, as the API itself leaves them out; one that the answer goes on
    // from matters.
    if (!message.reasoning.empty() && goes_on)
      return fail(cannot_carry(place(index, "reasoning_content"), protocol_));
    if (tool) return add_result(index, message);
    end_results();
    begin(message.role);
    if (message.tool_calls.empty()) {
      append_json_string(out_, message.content);
    } else if (auto calls = add_calls(index, message); !calls) {
      return calls;
    }
    out_ += '}';
    return {};
  }
  void end() {
    end_results();
    out_ += ']';
  }

 private:
  void begin(std::string_view role) {
    if (!std::exchange(first_, false)) out_ += ',';
    out_ += R"({"role":")";
    out_.append(role).append(R"(","content":)");
  }
  /// The results of all calls of a turn are one turn.
  Result<void> add_result(std::size_t index, const ChatMessage& message) {
    if (message.tool_call_id.empty()) {
      return fail(cannot_carry(place(index, "tool_call_id"), protocol_, "must say which call this answers"));
    }
    if (!std::exchange(in_results_, true)) {
      begin("user");
      out_ += '[';
    } else {
      out_ += ',';
    }
    JsonObjectWriter block(out_);
    block.text("type", "tool_result");
    block.text("tool_use_id", message.tool_call_id);
    block.text("content", message.content);
    block.end();
    return {};
  }
  void end_results() {
    if (std::exchange(in_results_, false)) out_ += "]}";
  }
  Result<void> add_calls(std::size_t index, const ChatMessage& message) {
    char before = '[';
    if (!message.content.empty()) {
      out_ += std::exchange(before, ',');
      JsonObjectWriter block(out_);
      block.text("type", "text");
      block.text("text", message.content);
      block.end();
    }
    for (std::size_t i = 0; i < message.tool_calls.size(); ++i) {
      const ToolCall& call = message.tool_calls[i];
      const std::string at = place(index, fmt::format("tool_calls[{}]", i));
      if (call.id.empty()) return fail(cannot_carry(at + ".id", protocol_, "must not be empty"));
      const std::string_view arguments = call.arguments.empty() ? std::string_view("{}") : call.arguments;
      if (!parse_object(arguments))
        return fail(cannot_carry(at + ".function.arguments", protocol_, "must be a JSON object"));
      out_ += std::exchange(before, ',');
      JsonObjectWriter block(out_);
      block.text("type", "tool_use");
      block.text("id", call.id);
      block.text("name", call.name);
      block.json("input", arguments);
      block.end();
    }
    out_ += ']';
    return {};
  }

  std::string& out_;
  std::string_view protocol_;
  bool first_ = true;
  bool in_results_ = false;
};

/// The first messages, of the system, as one text.
std::size_t write_system(JsonObjectWriter& body, const std::vector<ChatMessage>& messages) {
  std::size_t count = 0;
  std::string text;
  for (; count < messages.size() && messages[count].role == "system"; ++count) {
    if (count > 0) text += "\n\n";
    text += messages[count].content;
  }
  if (!text.empty()) body.text("system", text);
  return count;
}

void write_tools(JsonObjectWriter& body, const ChatPrompt& chat) {
  if (chat.tools.empty()) return;
  std::string& out = body.key("tools");
  for (char before = '['; const Tool& tool : chat.tools) {
    out += std::exchange(before, ',');
    JsonObjectWriter written(out);
    written.text("name", tool.name);
    if (!tool.description.empty()) written.text("description", tool.description);
    written.json("input_schema", tool.parameters);
    written.end();
  }
  out += ']';
  if (chat.tool_use == ToolUse::kNone) return body.json("tool_choice", R"({"type":"none"})");
  if (chat.tool_use == ToolUse::kAuto && chat.parallel_tool_calls) return;
  JsonObjectWriter choice(body.key("tool_choice"));
  choice.text("type", chat.tool_use == ToolUse::kRequired ? "any" : "auto");
  if (!chat.parallel_tool_calls) choice.flag("disable_parallel_tool_use", true);
  choice.end();
}

/// What the client says of thinking: whether, how hard, with how many tokens.
struct Thinking {
  std::optional<bool> on;
  std::string effort;  // JSON
  std::optional<std::uint32_t> budget;
};

Result<Thinking> thinking_of(const ChatPrompt& chat, std::string_view protocol) {
  Thinking thinking;
  for (const auto& [name, value] : chat.template_arguments) {
    const std::string field = "chat_template_kwargs." + name;
    if (name == "reasoning_effort") {
      thinking.effort = value;
      if (value == "\"none\"") thinking.on = thinking.on.value_or(false);
    } else if ((name == "enable_thinking" || name == "thinking") && (value == "true" || value == "false")) {
      thinking.on = value == "true";
    } else if (name == "thinking_budget") {
      std::uint32_t budget = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), budget);
      if (error != std::errc() || end != value.data() + value.size() || budget < kLeastThinking)
        return fail(cannot_carry(field, protocol, fmt::format("must be at least {}", kLeastThinking)));
      thinking.budget = budget;
    } else {
      return fail(cannot_carry(field, protocol));
    }
  }
  return thinking;
}

std::uint32_t budget_of(const Thinking& thinking) {
  if (thinking.budget) return *thinking.budget;
  if (thinking.effort == "\"medium\"" || thinking.effort.empty()) return 4096;
  if (thinking.effort == "\"minimal\"" || thinking.effort == "\"low\"") return kLeastThinking;
  return 16'384;
}

/// A budget that is the client's own goes as it is where the answer has a place behind it.
std::uint32_t budget_within(const Thinking& thinking, std::uint32_t most) {
  const std::uint32_t budget = budget_of(thinking);
  if (thinking.budget && budget < most) return budget;
  return std::min(budget, std::max(kLeastThinking, most - most / kAnswerPart));
}

/// The API's words for an effort, as JSON; empty: it has none.
std::string_view effort_of(const Thinking& thinking) {
  if (thinking.effort == "\"minimal\"") return "\"low\"";
  return thinking.effort == "\"none\"" ? std::string_view() : std::string_view(thinking.effort);
}

/// The limit of the API counts the thoughts, too.
Result<void> write_limits(JsonObjectWriter& body, const GenerateRequest& work, const Thinking& thinking,
                          std::string_view protocol) {
  const bool thinks = thinking.on.value_or(thinking.budget.has_value());
  std::uint32_t most = work.stop.max_tokens.value_or(kDefaultMaxTokens);
  if (most == 0) return fail(cannot_carry("max_tokens", protocol, "must be at least 1"));
  if (!thinks) {
    body.number("max_tokens", most);
    if (thinking.on) body.json("thinking", R"({"type":"disabled"})");
    return {};
  }
  if (!work.stop.max_tokens) most = budget_of(thinking) + kDefaultMaxTokens;
  if (most <= kLeastThinking)
    return fail(
        cannot_carry("max_tokens", protocol, fmt::format("must be above {} to think", kLeastThinking)));
  body.number("max_tokens", most);
  body.json("thinking",
            fmt::format(R"({{"type":"enabled","budget_tokens":{}}})", budget_within(thinking, most)));
  return {};
}

/// How hard the model tries, whether it thinks or not, and what its text must be.
void write_output(JsonObjectWriter& body, const GenerateRequest& work, const Thinking& thinking) {
  const std::string_view effort = effort_of(thinking);
  const bool schema = work.format.kind == OutputFormat::Kind::kJsonSchema;
  if (effort.empty() && !schema) return;
  JsonObjectWriter output(body.key("output_config"));
  if (!effort.empty()) output.json("effort", effort);
  if (schema) {
    output.json("format", fmt::format(R"({{"type":"json_schema","schema":{}}})", work.format.definition));
  }
  output.end();
}

Result<void> check_chat(const GenerateRequest& work, const ChatPrompt& chat, std::string_view protocol) {
  if (work.sampling.temperature.value_or(0) > 1)
    return fail(cannot_carry("temperature", protocol, "must be at most 1"));
  // The API goes on with a last message of the assistant.
  const bool answered = !chat.messages.empty() && chat.messages.back().role == "assistant";
  if (answered && !chat.continue_final_message) {
    return fail(cannot_carry(place(chat.messages.size() - 1, "role"), protocol,
                             "of the last message must not be \"assistant\", which is continued"));
  }
  if (!chat.add_generation_prompt && !chat.continue_final_message)
    return fail(cannot_carry("add_generation_prompt", protocol));
  return {};
}

}  // namespace

Result<std::string> messages_body(const InferenceRequest& request, const EndpointTerms& terms,
                                  std::string_view protocol) {
  if (auto carried = check_carried(request, kCarried, protocol); !carried)
    return fail(std::move(carried).error());
  const GenerateRequest& work = *request.generation();
  const auto& chat = std::get<ChatPrompt>(work.prompts.front());
  if (auto checked = check_chat(work, chat, protocol); !checked) return fail(std::move(checked).error());
  std::string out;
  JsonObjectWriter body(out);
  body.text("model", terms.model.empty() ? std::string_view(request.model) : terms.model);
  const auto thinking = thinking_of(chat, protocol);
  if (!thinking) return fail(thinking.error());
  if (auto limits = write_limits(body, work, *thinking, protocol); !limits)
    return fail(std::move(limits).error());
  std::size_t index = write_system(body, chat.messages);
  Turns turns(body.key("messages"), protocol);
  for (; index < chat.messages.size(); ++index) {
    const bool goes_on = chat.continue_final_message && index + 1 == chat.messages.size();
    if (auto added = turns.add(index, chat.messages[index], goes_on); !added)
      return fail(std::move(added).error());
  }
  turns.end();
  body.flag("stream", true);
  body.number("temperature", work.sampling.temperature);
  body.number("top_p", work.sampling.top_p);
  body.number("top_k", work.sampling.top_k);
  if (!work.stop.stop.empty()) {
    std::string& stops = body.key("stop_sequences");
    for (char before = '['; const std::string& text : work.stop.stop)
      append_json_string(stops += std::exchange(before, ','), text);
    stops += ']';
  }
  write_tools(body, chat);
  write_output(body, work, *thinking);
  body.end();
  return out;
}

}  // namespace autoglm::protocol::anthropic
