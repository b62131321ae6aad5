#include "engine/backends/llama/template_grammar.h"

#include <chat-peg-parser.h>
#include <chat.h>
#include <json-schema-to-grammar.h>
#include <json.h>

#include <cstddef>
#include <regex>
#include <string_view>

namespace autoglm::engine {

namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

std::string pattern_of(const common_grammar_trigger& trigger) {
  if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_WORD) return regex_escape(trigger.value);
  if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN) return trigger.value;
  const bool begins = trigger.value.starts_with('^');
  const bool ends = trigger.value.ends_with('$');
  return (begins ? "" : "^") + trigger.value + (ends ? "" : "$");
}

/// Replaces the rule `name` by `change(rule)`; the rule is passed without its end of line.
template <typename Change>
void change_rule(std::string& grammar, std::string_view name, const Change& change) {
  const std::string head = "\n" + std::string(name) + " ::= ";
  const std::size_t begin = ("\n" + grammar).find(head);
  if (begin == std::string::npos) return;
  const std::size_t length = grammar.find('\n', begin) - begin;  // up to the end if it is the last rule
  grammar.replace(begin, length, change(grammar.substr(begin, length)));
}

/// A model that must call a tool should do so, and not talk until its tokens are used up: llama-common's
/// grammars allow any text before the call, sometimes between marks that may be missing.
std::string without_preamble(const std::string& root) {
  // A mark in a group is followed by reasoning, which stays.
  static const std::regex kPreamble(
      R"-((\("[^"\n]*" until-[0-9]+ )|)-"
      R"-((?:"[^"\n]*"\? )?until-[0-9]+\?? (?:"[^"\n]*"\? )?((?:space )?(?:[a-z0-9]+-)*tool-call))-");
  std::string rule = std::regex_replace(root, kPreamble, "$1$2");
  // Functionary's format.
  if (const std::size_t talk = rule.find(R"(("all\n" until-)"); talk != std::string::npos)
    rule.replace(talk, std::string::npos, "tools");
  return rule;
}

/// If each call has its own marks, llama-common's grammar allows any number of calls in a row; Ling's grammar
/// allows any text after a call, and so another call.
void keep_one_call(std::string& grammar) {
  const auto once = [](std::string rule) {
    if (rule.ends_with('+')) rule.pop_back();
    return rule;
  };
  change_rule(grammar, "tool-calls", once);
  change_rule(grammar, "tools", once);
  const auto without_rest = [](const std::string& rule) {
    static const std::regex kRest(R"( until-[0-9]+\?( "<\|role_end\|>"\?)$)");
    return std::regex_replace(rule, kRest, "$1");
  };
  change_rule(grammar, "root", without_rest);
  change_rule(grammar, "ling3-tool-call", without_rest);
}

}  // namespace

GrammarSpec template_grammar(const common_chat_params& params, const ChatPrompt& chat) {
  GrammarSpec spec{.grammar = params.grammar, .lazy = params.grammar_lazy};
  if (chat.tool_use == ToolUse::kRequired) change_rule(spec.grammar, "root", without_preamble);
  if (!chat.parallel_tool_calls) keep_one_call(spec.grammar);
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

bool has_format(const std::string& grammar) { return ("\n" + grammar).contains("\nresponse-format"); }

bool begins_in_thought(const common_chat_params& params) {
  const std::string_view start = trimmed(params.thinking_start_tag);
  return !start.empty() && !params.thinking_end_tags.empty() &&
         trimmed(params.generation_prompt).ends_with(start);
}

GrammarSpec json_behind_thought(const common_chat_params& params, const std::string& schema) {
  const std::string end(trimmed(params.thinking_end_tags.front()));
  const auto answer = build_chat_peg_parser([&](common_chat_peg_builder& p) {
    return p.until(end) + p.literal(end) + p.space() +
           p.schema(p.json(), "response-format", common_json::parse(schema));
  });
  return {.grammar =
              build_grammar([&](const common_grammar_builder& rules) { answer.build_grammar(rules); })};
}

}  // namespace autoglm::engine
