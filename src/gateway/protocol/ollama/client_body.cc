#include "gateway/protocol/ollama/client_body.h"

#include "gateway/protocol/carried.h"
#include "gateway/protocol/json/object_writer.h"
#include "gateway/protocol/openai/chat_messages.h"
#include "gateway/protocol/whole_answers.h"

#include <fmt/format.h>

#include <map>
#include <utility>

namespace autoglm::protocol::ollama {

namespace {

using Kind = OutputFormat::Kind;

constexpr Carried kCarried{.chats = true,
                           .texts = true,
                           .suffix = true,
                           .tools = true,
                           .top_k = true,
                           .min_p = true,
                           .penalties = true,
                           .repetition = true,
                           .typical_p = true,
                           .window = true,
                           .seed = true,
                           .json_object = true,
                           .json_schema = true};

void write_options(JsonObjectWriter& body, const InferenceRequest& request) {
  const GenerateRequest& work = *request.generation();
  const SamplingRequest& sampling = work.sampling;
  JsonObjectWriter options(body.key("options"));
  options.number("temperature", sampling.temperature);
  options.number("top_p", sampling.top_p);
  options.number("top_k", sampling.top_k);
  options.number("min_p", sampling.min_p);
  options.number("presence_penalty", sampling.presence_penalty);
  options.number("frequency_penalty", sampling.frequency_penalty);
  options.number("repeat_penalty", sampling.repetition_penalty);
  options.number("typical_p", sampling.typical_p);
  options.number("repeat_last_n", sampling.penalty_window);
  if (sampling.seed && !request.seed_chosen)
    options.number("seed", static_cast<std::int64_t>(*sampling.seed));
  options.number("num_predict", work.stop.max_tokens);
  if (!work.stop.stop.empty()) {
    std::string& stops = options.key("stop");
    for (char before = '['; const std::string& text : work.stop.stop)
      append_json_string(stops += std::exchange(before, ','), text);
    stops += ']';
  }
  options.end();
}

/// Arguments are objects here, and a text in the vocabulary.
Result<void> write_calls(std::string& out, const ChatMessage& message, std::size_t index,
                         std::string_view protocol) {
  for (std::size_t i = 0; i < message.tool_calls.size(); ++i) {
    const ToolCall& call = message.tool_calls[i];
    const std::string_view arguments = call.arguments.empty() ? std::string_view("{}") : call.arguments;
    if (!parse_object(arguments)) {
      return fail(cannot_carry(fmt::format("messages[{}].tool_calls[{}].function.arguments", index, i),
                               protocol, "must be a JSON object"));
    }
    out += i == 0 ? '[' : ',';
    JsonObjectWriter written(out);
    if (!call.id.empty()) written.text("id", call.id);
    JsonObjectWriter function(written.key("function"));
    function.text("name", call.name);
    function.json("arguments", arguments);
    function.end();
    written.end();
  }
  out += ']';
  return {};
}

Result<void> write_messages(JsonObjectWriter& body, const ChatPrompt& chat, std::string_view protocol) {
  std::map<std::string_view, std::string_view> names;  // of tools, by the ids of their calls
  std::string& out = body.key("messages");
  for (std::size_t i = 0; i < chat.messages.size(); ++i) {
    const ChatMessage& message = chat.messages[i];
    out += i == 0 ? '[' : ',';
    const bool tool = message.role == "tool";
    if (!tool && !message.name.empty())
      return fail(cannot_carry(fmt::format("messages[{}].name", i), protocol));
    JsonObjectWriter written(out);
    written.text("role", message.role);
    written.text("content", message.content);
    if (!message.reasoning.empty()) written.text("thinking", message.reasoning);
    for (const ToolCall& call : message.tool_calls) names[call.id] = call.name;
    if (!message.tool_calls.empty()) {
      if (auto calls = write_calls(written.key("tool_calls"), message, i, protocol); !calls) return calls;
    }
    if (tool) {
      const auto found = names.find(message.tool_call_id);
      const std::string_view name = !message.name.empty()  ? message.name
                                    : found != names.end() ? found->second
                                                           : std::string_view();
      if (!name.empty()) written.text("tool_name", name);
      if (!message.tool_call_id.empty()) written.text("tool_call_id", message.tool_call_id);
    }
    written.end();
  }
  out += chat.messages.empty() ? "[]" : "]";
  return {};
}

Result<void> write_thinking(JsonObjectWriter& body, const ChatPrompt& chat, std::string_view protocol) {
  std::string_view think;  // JSON
  for (const auto& [name, value] : chat.template_arguments) {
    const bool effort = name == "reasoning_effort";
    if (effort && (value == "\"low\"" || value == "\"medium\"" || value == "\"high\"")) {
      think = value;
    } else if (effort && value == "\"none\"") {
      think = "false";
    } else if (effort) {
      return fail(cannot_carry(name, protocol, "must be one of none, low, medium, high"));
    } else if ((name == "enable_thinking" || name == "thinking") && (value == "true" || value == "false")) {
      if (think.empty() || value == "false") think = value;
    } else if (name != "thinking_budget") {  // a bound at most, as any template has it that knows of none
      return fail(cannot_carry("chat_template_kwargs." + name, protocol));
    }
  }
  if (!think.empty()) body.json("think", think);
  return {};
}

Result<void> write_chat(JsonObjectWriter& body, const ChatPrompt& chat, std::string_view protocol) {
  const bool answered = !chat.messages.empty() && chat.messages.back().role == "assistant";
  if (answered) {
    return fail(cannot_carry(fmt::format("messages[{}].role", chat.messages.size() - 1), protocol,
                             "of the last message must not be \"assistant\""));
  }
  if (!chat.add_generation_prompt) return fail(cannot_carry("add_generation_prompt", protocol));
  if (auto messages = write_messages(body, chat, protocol); !messages) return messages;
  // A model that is to call none is told of none.
  if (!chat.tools.empty() && chat.tool_use != ToolUse::kNone)
    openai::append_tools(body.key("tools"), chat.tools);
  return write_thinking(body, chat, protocol);
}

void write_text(JsonObjectWriter& body, const TextPrompt& text) {
  body.text("prompt", text.text);
  if (text.suffix.empty()) {
    body.flag("raw", true);  // without the model's template
  } else {
    body.text("suffix", text.suffix);  // which the template has a place for
  }
}

}  // namespace

Result<std::string> generation_body(const InferenceRequest& request, const EndpointTerms& terms,
                                    std::string_view protocol) {
  if (auto carried = check_carried(request, kCarried, protocol); !carried)
    return fail(std::move(carried).error());
  const GenerateRequest& work = *request.generation();
  // Ollama's 0 is no limit.
  if (work.stop.max_tokens == 0U) return fail(cannot_carry("max_tokens", protocol, "must be at least 1"));
  std::string out;
  JsonObjectWriter body(out);
  body.text("model", terms.model.empty() ? std::string_view(request.model) : terms.model);
  if (const auto* chat = std::get_if<ChatPrompt>(&work.prompts.front())) {
    if (auto written = write_chat(body, *chat, protocol); !written) return fail(std::move(written).error());
  } else {
    write_text(body, std::get<TextPrompt>(work.prompts.front()));
  }
  body.flag("stream", true);
  if (work.format.kind == Kind::kJsonObject) body.text("format", "json");
  if (work.format.kind == Kind::kJsonSchema) body.json("format", work.format.definition);
  write_options(body, request);
  body.end();
  return out;
}

Result<std::string> embed_body(const EmbedRequest& work, std::string_view model, std::string_view protocol) {
  if (!work.normalized) return fail(cannot_carry("normalize", protocol));
  std::string out;
  JsonObjectWriter body(out);
  body.text("model", model);
  std::string& inputs = body.key("input");
  for (char before = '['; const Prompt& input : work.inputs) {
    const auto* text = std::get_if<TextPrompt>(&input);
    if (text == nullptr) return fail(cannot_carry("input", protocol, "must be texts"));
    append_json_string(inputs += std::exchange(before, ','), text->text);
  }
  inputs += ']';
  body.flag("truncate", work.truncates);
  body.number("dimensions", work.dimensions);
  body.end();
  return out;
}

}  // namespace autoglm::protocol::ollama
