#include "engine/backends/llama/chat_renderer.h"

#include "base/utf8.h"
#include "engine/backends/llama/chat_parser.h"
#include "engine/backends/llama/control_tokens.h"
#include "engine/backends/llama/cut_json.h"
#include "engine/backends/llama/grammar_constraint.h"
#include "engine/backends/llama/schema_check.h"
#include "engine/backends/llama/schema_grammar.h"
#include "engine/backends/llama/template_grammar.h"
#include "engine/backends/llama/token_tree.h"
#include "engine/text/call_id.h"

#include <chat.h>
#include <json-schema-to-grammar.h>
#include <json.h>
#include <llama.h>

#include <boost/json.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::engine {

namespace {

constexpr std::size_t kMostArgumentDepth = 128;
constexpr std::size_t kMostNameBytes = 256;
constexpr std::size_t kMostTools = 512;  // they cost half a millisecond each
constexpr std::size_t kMostSchemaDepth = 200;
constexpr std::size_t kMostSchemaBytes = 4 << 20;
constexpr std::string_view kAnyArguments = R"({"type":"object"})";

using Inputs = common_chat_templates_inputs;

bool is_system(const ChatMessage& message) { return message.role == "system" || message.role == "developer"; }

/// llama.cpp parses arguments without a limit on their depth. Arguments that a token limit or a stop string
/// has cut come back with the next turn.
Result<std::string> arguments_of(const ToolCall& call, std::size_t message, std::size_t index) {
  if (call.arguments.empty()) return "{}";  // some clients send this for no arguments
  auto whole = whole_json(call.arguments, kMostArgumentDepth);
  if (whole) return std::move(*whole);
  const std::string field = fmt::format("messages[{}].tool_calls[{}].function.arguments", message, index);
  return fail(invalid_field(
      field, fmt::format("{} must be JSON, at most {} levels deep", field, kMostArgumentDepth)));
}

/// `own_ids`: the template accepts only ids in the form that we make.
Result<void> add_messages(const ChatPrompt& chat, bool own_ids, Inputs& inputs) {
  const auto id_of = [own_ids](const std::string& id) {
    return !own_ids || is_call_id(id) ? id : call_id(id);
  };
  for (std::size_t i = 0; i < chat.messages.size(); ++i) {
    const ChatMessage& message = chat.messages[i];
    common_chat_msg& target = inputs.messages.emplace_back();
    target.role = message.role;
    target.content = message.content;
    target.reasoning_content = message.reasoning;
    target.tool_name = message.name;
    if (message.role == "tool" || !message.tool_call_id.empty())
      target.tool_call_id = id_of(message.tool_call_id);
    for (std::size_t k = 0; k < message.tool_calls.size(); ++k) {
      const ToolCall& call = message.tool_calls[k];
      auto arguments = arguments_of(call, i, k);
      if (!arguments) return fail(arguments.error());
      target.tool_calls.push_back({call.name, std::move(*arguments), id_of(call.id)});
    }
  }
  return {};
}

Result<Inputs> inputs_of(const ChatPrompt& chat, const OutputFormat& format,
                         const std::string& system_message, bool own_ids) {
  Inputs inputs;
  if (!system_message.empty() && std::ranges::none_of(chat.messages, is_system)) {
    common_chat_msg& first = inputs.messages.emplace_back();
    first.role = "system";
    first.content = system_message;
  }
  if (auto added = add_messages(chat, own_ids, inputs); !added) return fail(added.error());
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
  inputs.add_generation_prompt = chat.add_generation_prompt;
  if (chat.continue_final_message) {
    inputs.continue_final_message = COMMON_CHAT_CONTINUATION_AUTO;
    inputs.add_generation_prompt = false;
  }
  // An answer that must be a call has no text to be formatted; llama.cpp would leave out the call.
  if (chat.tool_use == ToolUse::kRequired) return inputs;
  if (format.kind == OutputFormat::Kind::kJsonSchema) inputs.json_schema = format.definition;
  if (format.kind == OutputFormat::Kind::kJsonObject) inputs.json_schema = kAnyArguments;
  return inputs;
}

Result<void> check_tools(const ChatPrompt& chat) {
  if (chat.tools.size() > kMostTools) {
    return fail(invalid_field(
        "tools", fmt::format("there may be at most {} tools, got {}", kMostTools, chat.tools.size())));
  }
  for (const Tool& tool : chat.tools) {
    // Grammar rules are named after the tool, and llama.cpp's regular expressions use a stack frame for each
    // byte.
    if (tool.name.size() > kMostNameBytes)
      return fail(invalid_field("tools", fmt::format("the tool {} has a name of over {} bytes",
                                                     excerpt(tool.name, 100), kMostNameBytes)));
    boost::json::parse_options options;
    options.max_depth = kMostSchemaDepth;
    boost::system::error_code error;
    if (tool.parameters.size() <= kMostSchemaBytes) boost::json::parse(tool.parameters, error, {}, options);
    if (error || tool.parameters.size() > kMostSchemaBytes)
      return fail(invalid_field(
          "tools", fmt::format("the parameters of the tool {} must be JSON of at most {} levels and {} bytes",
                               excerpt(tool.name, 100), kMostSchemaDepth, kMostSchemaBytes)));
  }
  return {};
}

Result<void> convert_schema(const std::string& schema) {
  try {
    json_schema_to_grammar(common_json::parse(schema));
    return {};
  } catch (const std::exception& exception) {
    return fail(ErrorCode::kInvalidArgument, excerpt(exception.what(), 300));
  }
}

/// Loosens the parameters of tools for which no grammar can be made, as `check` says: a model that may call
/// such a tool can then pass any arguments. Where a call is required this is an error, since the promise
/// could not be kept. True: some were loosened.
Result<bool> loosen(Inputs& inputs, Result<void> (*check)(const std::string&)) {
  bool some = false;
  for (common_chat_tool& tool : inputs.tools) {
    const auto checked = check(tool.parameters);
    if (checked) continue;
    if (inputs.tool_choice == COMMON_CHAT_TOOL_CHOICE_REQUIRED)
      return fail(invalid_field("tools", fmt::format("the parameters of the tool {} cannot be kept to: {}",
                                                     excerpt(tool.name, 100), checked.error().message)));
    tool.parameters = kAnyArguments;
    some = true;
  }
  return some;
}

/// All texts of a conversation, and those of its texts that are JSON.
struct Sayings {
  std::vector<std::string*> texts;
  std::vector<std::string*> json;
};

Sayings sayings_of(Inputs& inputs) {
  Sayings said;
  for (common_chat_msg& message : inputs.messages) {
    said.texts.insert(said.texts.end(), {&message.content, &message.reasoning_content, &message.tool_name,
                                         &message.tool_call_id});
    for (common_chat_tool_call& call : message.tool_calls) {
      said.texts.insert(said.texts.end(), {&call.name, &call.id});
      said.json.push_back(&call.arguments);
    }
  }
  for (common_chat_tool& tool : inputs.tools) {
    said.texts.insert(said.texts.end(), {&tool.name, &tool.description});
    said.json.push_back(&tool.parameters);
  }
  for (auto& [name, value] : inputs.chat_template_kwargs) said.json.push_back(&value);
  if (!inputs.json_schema.empty()) said.json.push_back(&inputs.json_schema);
  return said;
}

bool has_control_tokens(const Sayings& said, const ControlTokens& tokens) {
  const auto in_json = [&](const std::string* json) {
    const bool spells = json->find("\\u") != std::string::npos || json->find("\\/") != std::string::npos;
    return tokens.occur_in(*json) || (spells && tokens.occur_in(without_escapes(*json)));
  };
  return std::ranges::any_of(said.texts, [&](const std::string* text) { return tokens.occur_in(*text); }) ||
         std::ranges::any_of(said.json, in_json);
}

/// Makes the parsers of the answer.
std::function<std::unique_ptr<ChatParser>()> parser_of(const common_chat_params& params,
                                                       const ChatPrompt& chat) {
  auto parser = std::make_shared<common_chat_parser_params>(params);
  parser->reasoning_format = COMMON_REASONING_FORMAT_AUTO;
  parser->parse_tool_calls = !chat.tools.empty() && chat.tool_use != ToolUse::kNone;
  parser->is_continuation = chat.continue_final_message;
  if (!params.parser.empty()) parser->parser.load(params.parser);
  std::vector<std::string> names;
  for (const Tool& tool : chat.tools) names.push_back(tool.name);
  return chat_parser_maker(std::move(parser), std::move(names));
}

/// The prompt alone, without a grammar, which could not be made from schemas that are marked or impossible.
std::string prompt_of(const common_chat_templates* templates, Inputs inputs) {
  inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_NONE;
  return common_chat_templates_apply(templates, inputs).prompt;
}

}  // namespace

struct ChatRenderer::State {
  State(const llama_model* model, const TokenTree& tokens, std::string system,
        const ChatTemplate& chat_template)
      : tree(&tokens),
        templates(common_chat_templates_init(model, chat_template.source)),
        system_message(std::move(system)),
        control(llama_model_get_vocab(model)),
        uses_jinja(!chat_template.is_name) {
    own_ids = common_chat_templates_source(templates.get()).find("length != 9") != std::string::npos;
  }

  Result<void> check(const ChatPrompt& chat, const OutputFormat& format) const {
    if (chat.tools.empty()) return {};
    const auto caps = common_chat_templates_get_caps(templates.get());
    if (chat.tool_use != ToolUse::kNone && !caps.at("supports_tools") && !caps.at("supports_tool_calls")) {
      return fail(invalid_field(
          "tools", "this model's chat template has no place for tools; use a model made for calling them"));
    }
    if (chat.tool_use == ToolUse::kRequired && format.kind == OutputFormat::Kind::kGrammar) {
      return fail(
          invalid_field("grammar", "grammar and a tool_choice that requires a call exclude each other"));
    }
    return check_tools(chat);
  }

  /// Applies the template to `inputs`. llama.cpp overlooks reasoning that the prompt begins if the template
  /// ends the prompt with it in any case (RWKV's).
  common_chat_params applied(const Inputs& inputs) const {
    common_chat_params params = common_chat_templates_apply(templates.get(), inputs);
    const std::string& start = params.thinking_start_tag;
    if (params.generation_prompt.empty() && inputs.add_generation_prompt && !start.empty() &&
        params.prompt.ends_with(start))
      params.generation_prompt = start;
    return params;
  }

  /// As applied(), but loosens the schemas of tools if necessary.
  Result<common_chat_params> apply(Inputs& inputs) const {
    try {
      return applied(inputs);
    } catch (const std::exception&) {
      // llama.cpp does not say whether the template itself or a schema is at fault.
      const auto loosened = loosen(inputs, convert_schema);
      if (!loosened) return fail(loosened.error());
      if (!*loosened) throw;
      return applied(inputs);
    }
  }

  /// Renders the prompt from `shown`; `otherwise` is the prompt with loosened tools and without marks.
  Result<void> write_prompt(Inputs shown, const Inputs& rules, std::string otherwise,
                            RenderedChat& rendered) const {
    const bool loosened = !std::ranges::equal(shown.tools, rules.tools, {}, &common_chat_tool::parameters,
                                              &common_chat_tool::parameters);
    const Sayings said = sayings_of(shown);
    const bool marked = has_control_tokens(said, control);
    if (!loosened && !marked) {
      rendered.text = std::move(otherwise);
      return {};
    }
    std::vector<std::string*> all = said.texts;
    all.insert(all.end(), said.json.begin(), said.json.end());
    const TextMarks marks(control, all);
    if (!marks.usable()) {
      return fail(invalid_field("messages",
                                "the messages hold all of the noncharacters U+FDD0 to U+FDEF, two of which "
                                "must stay unused: leave some out"));
    }
    for (std::string* text : said.texts) marks.put(*text);
    for (std::string* json : said.json) marks.put_in_json(*json);
    std::string prompt;
    try {
      prompt = prompt_of(templates.get(), shown);
    } catch (const std::exception&) {
      if (!loosened) throw;
      for (std::size_t i = 0; i < shown.tools.size(); ++i) {
        shown.tools[i].parameters = rules.tools[i].parameters;
        marks.put_in_json(shown.tools[i].parameters);
      }
      prompt = prompt_of(templates.get(), shown);
    }
    auto split = marks.split(prompt);
    rendered.text = std::move(split.text);
    rendered.plain = std::move(split.plain);
    return {};
  }

  const TokenTree* tree;
  common_chat_templates_ptr templates;
  std::string system_message;
  ControlTokens control;
  bool uses_jinja = true;
  bool own_ids = false;  // as Mistral's templates demand
};

ChatRenderer::ChatRenderer(std::unique_ptr<State> state) : state_(std::move(state)) {}
ChatRenderer::~ChatRenderer() = default;

std::string ChatRenderer::source() const { return common_chat_templates_source(state_->templates.get()); }

std::unique_ptr<ChatRenderer> ChatRenderer::create(const llama_model* model, const TokenTree& tree,
                                                   std::string system_message,
                                                   const ChatTemplate& chat_template) {
  return std::unique_ptr<ChatRenderer>(
      new ChatRenderer(std::make_unique<State>(model, tree, std::move(system_message), chat_template)));
}

Result<RenderedChat> ChatRenderer::render(const ChatPrompt& chat, const OutputFormat& format) const {
  const bool must_call = !chat.tools.empty() && chat.tool_use == ToolUse::kRequired;
  if (auto checked = state_->check(chat, format); !checked) return fail(checked.error());
  // First, since these errors are clearer than a template's.
  Result<GrammarSpec> own;
  if (format.kind != OutputFormat::Kind::kText) own = grammar_of(format);
  if (!own) return fail(own.error());
  auto shown = inputs_of(chat, format, state_->system_message, state_->own_ids);
  if (!shown) return fail(shown.error());
  shown->use_jinja = state_->uses_jinja;
  const std::string field(!chat.tools.empty()                        ? "tools"
                          : format.kind != OutputFormat::Kind::kText ? format.field()
                                                                     : "messages");
  RenderedChat rendered;
  try {
    Inputs rules = *shown;
    const auto loosened = loosen(rules, [](const std::string& schema) { return check_schema(schema); });
    if (!loosened) return fail(loosened.error());
    const auto applied = state_->apply(rules);
    if (!applied) return fail(applied.error());
    const common_chat_params& params = *applied;
    if (must_call && params.grammar.empty()) {
      return fail(invalid_field("tool_choice",
                                "this model's chat template does not say how it writes a call, so that none "
                                "can be required; tool_choice may be auto or none"));
    }
    if (auto written = state_->write_prompt(std::move(*shown), rules, params.prompt, rendered); !written)
      return fail(written.error());
    rendered.stop = params.additional_stops;
    const bool plain =
        params.format == COMMON_CHAT_FORMAT_CONTENT_ONLY || (chat.tools.empty() && !params.supports_thinking);
    const bool own_grammar = format.kind == OutputFormat::Kind::kGrammar;
    const bool json = format.kind != OutputFormat::Kind::kText && !own_grammar && !must_call;
    // The grammars of Kimi's, Ling's and other templates are for calls only.
    const bool untold = json && !plain && !has_format(params.grammar);
    if (untold && !params.grammar.empty()) {
      return fail(invalid_field(std::string(format.field()),
                                "this model's chat template knows no format of an answer that may be a call; "
                                "leave it out, or let tool_choice be none or required"));
    }
    // llama.cpp's grammar lets a model put its JSON between ``` marks, which its parser removes again; if the
    // parser is not needed for anything else, the answer is the JSON itself.
    const bool thought = untold && begins_in_thought(params);
    const bool direct = own_grammar || (json && plain) || (untold && !thought);
    if (direct || thought || !params.grammar.empty()) {
      const GrammarSpec spec = direct    ? std::move(*own)
                               : thought ? json_behind_thought(params, rules.json_schema)
                                         : template_grammar(params, chat);
      auto constraint = make_grammar_constraint(*state_->tree, spec);
      if (!constraint) {
        const std::string asked(own_grammar ? format.field() : field);
        return fail(invalid_field(asked, constraint.error().message));
      }
      rendered.constraint = std::move(*constraint);
    }
    if (!plain && (own_grammar || !direct)) rendered.make_parser = parser_of(params, chat);
  } catch (const std::exception& exception) {
    return fail(invalid_field(
        field, fmt::format("the model's chat template refuses this ({}): {}", field, exception.what())));
  }
  return rendered;
}

}  // namespace autoglm::engine
