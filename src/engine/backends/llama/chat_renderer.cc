#include "engine/backends/llama/chat_renderer.h"

#include "base/utf8.h"
#include "engine/backends/llama/grammar_constraint.h"
#include "engine/backends/llama/schema_check.h"

#include <chat.h>
#include <llama.h>

#include <boost/json.hpp>

#include <fmt/format.h>

#include <exception>
#include <regex>
#include <utility>

namespace autoglm::engine {

namespace {

constexpr std::size_t kMostJsonDepth = 128;
constexpr std::size_t kMostNameBytes = 256;
constexpr std::size_t kMostTools = 512;  // half a millisecond each

class LlamaChatParser final : public ChatParser {
 public:
  explicit LlamaChatParser(std::shared_ptr<const common_chat_parser_params> params)
      : params_(std::move(params)) {}

  void parse(TokenEvent& event) override {
    text_ += event.text;
    event.text.clear();
    common_chat_msg now;
    try {
      now = common_chat_parse(text_, !event.finish.has_value(), *params_);
      for (const common_chat_msg_diff& diff : common_chat_msg_diff::compute_diffs(seen_, now))
        add(diff, event);
      seen_ = std::move(now);
    } catch (const std::exception&) {
      // What does not fit the template's own format is text. Only what nobody has seen yet can still become
      // that.
      if (event.finish && seen_.empty()) event.text = text_;
    }
    if (event.finish == FinishReason::kStop && !seen_.tool_calls.empty())
      event.finish = FinishReason::kToolCalls;
  }

 private:
  static void add(const common_chat_msg_diff& diff, TokenEvent& event) {
    event.text += diff.content_delta;
    event.reasoning += diff.reasoning_content_delta;
    if (diff.tool_call_index == std::string::npos) return;
    event.tool_calls.push_back({.index = static_cast<std::uint32_t>(diff.tool_call_index),
                                .id = diff.tool_call_delta.id,
                                .name = diff.tool_call_delta.name,
                                .arguments = diff.tool_call_delta.arguments});
  }

  std::shared_ptr<const common_chat_parser_params> params_;
  std::string text_;
  common_chat_msg seen_;
};

common_chat_templates_inputs inputs_of(const ChatPrompt& chat, const OutputFormat& format) {
  common_chat_templates_inputs inputs;
  for (const ChatMessage& message : chat.messages) {
    common_chat_msg& target = inputs.messages.emplace_back();
    target.role = message.role;
    target.content = message.content;
    target.reasoning_content = message.reasoning;
    target.tool_name = message.name;
    target.tool_call_id = message.tool_call_id;
    for (const ToolCall& call : message.tool_calls)
      target.tool_calls.push_back({call.name, call.arguments.empty() ? "{}" : call.arguments, call.id});
  }
  for (const Tool& tool : chat.tools) inputs.tools.push_back({tool.name, tool.description, tool.parameters});
  inputs.tool_choice = chat.tool_use == ToolUse::kNone       ? COMMON_CHAT_TOOL_CHOICE_NONE
                       : chat.tool_use == ToolUse::kRequired ? COMMON_CHAT_TOOL_CHOICE_REQUIRED
                                                             : COMMON_CHAT_TOOL_CHOICE_AUTO;
  inputs.parallel_tool_calls = chat.parallel_tool_calls;
  inputs.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
  inputs.chat_template_kwargs = chat.template_arguments;
  if (const auto thinking = chat.template_arguments.find("enable_thinking");
      thinking != chat.template_arguments.end()) {
    inputs.enable_thinking = thinking->second != "false";
  }
  if (chat.continue_final_message) {
    inputs.continue_final_message = COMMON_CHAT_CONTINUATION_AUTO;
    inputs.add_generation_prompt = false;
  }
  if (format.kind == OutputFormat::Kind::kJsonSchema) inputs.json_schema = format.definition;
  if (format.kind == OutputFormat::Kind::kJsonObject) inputs.json_schema = R"({"type": "object"})";
  return inputs;
}

std::string pattern_of(const common_grammar_trigger& trigger) {
  if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_WORD) return regex_escape(trigger.value);
  if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN) return trigger.value;
  const bool begins = trigger.value.starts_with('^');
  const bool ends = trigger.value.ends_with('$');
  return (begins ? "" : "^") + trigger.value + (ends ? "" : "$");
}

/// A model that must call a tool shall do so, and not talk until its tokens are used up: llama-common's
/// grammar lets any text come first.
std::string without_preamble(const std::string& grammar) {
  static const std::regex kPreamble(R"((\nroot ::= [^\n]*?)until-[0-9]+\? (tool-calls?\b))");
  return std::regex_replace("\n" + grammar, kPreamble, "$1$2").substr(1);
}

GrammarSpec template_grammar(const common_chat_params& params, ToolUse use) {
  GrammarSpec spec{.grammar = use == ToolUse::kRequired ? without_preamble(params.grammar) : params.grammar,
                   .lazy = params.grammar_lazy};
  if (!params.grammar_lazy) spec.prefill = params.generation_prompt;
  for (const common_grammar_trigger& trigger : params.grammar_triggers) {
    if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN) {
      spec.trigger_tokens.push_back(trigger.token);
    } else {
      spec.trigger_patterns.push_back(pattern_of(trigger));
    }
  }
  return spec;
}

/// The library takes arguments apart without a look at how deep they nest.
Result<void> check_calls(const ChatPrompt& chat) {
  boost::json::parse_options options;
  options.max_depth = kMostJsonDepth;
  for (std::size_t i = 0; i < chat.messages.size(); ++i) {
    const auto& calls = chat.messages[i].tool_calls;
    for (std::size_t k = 0; k < calls.size(); ++k) {
      boost::system::error_code error;
      boost::json::parse(calls[k].arguments, error, {}, options);
      if (!error || calls[k].arguments.empty()) continue;
      const std::string field = fmt::format("messages[{}].tool_calls[{}].function.arguments", i, k);
      return fail(invalid_field(field, fmt::format("{} must be JSON, at most {} levels deep: {}", field,
                                                   kMostJsonDepth, error.message())));
    }
  }
  return {};
}

Result<void> check_tools(const ChatPrompt& chat) {
  if (chat.tools.size() > kMostTools) {
    return fail(invalid_field(
        "tools", fmt::format("there may be at most {} tools, got {}", kMostTools, chat.tools.size())));
  }
  for (const Tool& tool : chat.tools) {
    // Rules are called as the tool is, and the library's regular expressions take a stack frame for each
    // byte.
    if (tool.name.size() > kMostNameBytes)
      return fail(invalid_field("tools", fmt::format("the tool {} has a name of over {} bytes",
                                                     excerpt(tool.name, 100), kMostNameBytes)));
    const auto checked = check_schema(tool.parameters);
    if (checked) continue;
    return fail(invalid_field("tools", fmt::format("the parameters of the tool {} cannot be kept to: {}",
                                                   excerpt(tool.name, 100), checked.error().message)));
  }
  return {};
}

}  // namespace

struct ChatRenderer::State {
  const TokenTree* tree = nullptr;
  common_chat_templates_ptr templates;
};

ChatRenderer::ChatRenderer(std::unique_ptr<State> state) : state_(std::move(state)) {}
ChatRenderer::~ChatRenderer() = default;

std::unique_ptr<ChatRenderer> ChatRenderer::create(const llama_model* model, const TokenTree& tree) {
  if (llama_model_chat_template(model, nullptr) == nullptr) return nullptr;
  auto state = std::make_unique<State>();
  state->tree = &tree;
  state->templates = common_chat_templates_init(model, "");
  return std::unique_ptr<ChatRenderer>(new ChatRenderer(std::move(state)));
}

Result<RenderedChat> ChatRenderer::render(const ChatPrompt& chat, const OutputFormat& format) const {
  if (!chat.tools.empty() && chat.tool_use != ToolUse::kNone &&
      !common_chat_templates_get_caps(state_->templates.get()).at("supports_tool_calls")) {
    return fail(invalid_field(
        "tools", "this model's chat template has no place for tools; use a model made for calling them"));
  }
  if (auto checked = check_calls(chat); !checked) return fail(checked.error());
  if (auto checked = check_tools(chat); !checked) return fail(checked.error());
  // Now, since these errors are clearer than what a template makes of them.
  Result<GrammarSpec> own;
  if (format.kind != OutputFormat::Kind::kText) own = grammar_of(format);
  if (!own) return fail(own.error());
  RenderedChat rendered;
  try {
    const common_chat_params params =
        common_chat_templates_apply(state_->templates.get(), inputs_of(chat, format));
    rendered.text = params.prompt;
    rendered.stop = params.additional_stops;
    const bool plain =
        params.format == COMMON_CHAT_FORMAT_CONTENT_ONLY || (chat.tools.empty() && !params.supports_thinking);
    const bool own_grammar = format.kind == OutputFormat::Kind::kGrammar;
    // The library's grammar lets a model put its JSON between ``` marks, which its parser takes off again;
    // where nothing else needs that parser, the answer is the JSON itself.
    const bool direct = own_grammar || (plain && format.kind != OutputFormat::Kind::kText);
    if (direct || !params.grammar.empty()) {
      const GrammarSpec spec = direct ? std::move(*own) : template_grammar(params, chat.tool_use);
      auto constraint = make_grammar_constraint(*state_->tree, spec);
      if (!constraint) {
        return fail(invalid_field(own_grammar          ? "grammar"
                                  : chat.tools.empty() ? "response_format"
                                                       : "tools",
                                  constraint.error().message));
      }
      rendered.constraint = std::move(*constraint);
    }
    if (!plain) {
      auto parser = std::make_shared<common_chat_parser_params>(params);
      parser->reasoning_format = COMMON_REASONING_FORMAT_AUTO;
      parser->parse_tool_calls = !chat.tools.empty() && chat.tool_use != ToolUse::kNone;
      parser->is_continuation = chat.continue_final_message;
      if (!params.parser.empty()) parser->parser.load(params.parser);
      rendered.make_parser = [parser]() -> std::unique_ptr<ChatParser> {
        return std::make_unique<LlamaChatParser>(parser);
      };
    }
  } catch (const std::exception& exception) {
    const char* field = !chat.tools.empty()                        ? "tools"
                        : format.kind != OutputFormat::Kind::kText ? "response_format"
                                                                   : "messages";
    return fail(invalid_field(
        field, fmt::format("the model's chat template refuses this ({}): {}", field, exception.what())));
  }
  return rendered;
}

}  // namespace autoglm::engine
