#include "gateway/protocol/carried.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

namespace autoglm::protocol {

namespace {

using Kind = OutputFormat::Kind;
using Work = GenerateRequest;

template <class Wanted>
bool any_prompt(const Work& work) {
  return std::ranges::any_of(work.prompts,
                             [](const Prompt& prompt) { return std::holds_alternative<Wanted>(prompt); });
}

template <class Asks>
bool any_text(const Work& work, Asks asks) {
  return std::ranges::any_of(work.prompts, [&](const Prompt& prompt) {
    const auto* text = std::get_if<TextPrompt>(&prompt);
    return text != nullptr && asks(*text);
  });
}

template <class Asks>
bool chat(const Work& work, Asks asks) {
  const auto* prompt = std::get_if<ChatPrompt>(&work.prompts.front());
  return prompt != nullptr && asks(*prompt);
}

struct Part {
  const char* field;
  bool Carried::* can;
  bool (*asks)(const Work& work);
};

constexpr auto kParts = std::to_array<Part>({
    {"messages", &Carried::chats, any_prompt<ChatPrompt>},
    {"prompt", &Carried::texts, any_prompt<TextPrompt>},
    {"prompt", &Carried::tokens, any_prompt<TokenPrompt>},
    {"prompt", &Carried::prompts, [](const Work& work) { return work.prompts.size() > 1; }},
    {"n", &Carried::choices, [](const Work& work) { return work.n > 1; }},
    {"suffix", &Carried::suffix,
     [](const Work& work) { return any_text(work, [](const TextPrompt& p) { return !p.suffix.empty(); }); }},
    {"parse_special", &Carried::plain_special,
     [](const Work& work) { return any_text(work, [](const TextPrompt& p) { return !p.parse_special; }); }},
    {"tools", &Carried::tools,
     [](const Work& work) { return chat(work, [](const ChatPrompt& p) { return !p.tools.empty(); }); }},
    {"tool_choice", &Carried::tool_choice,
     [](const Work& work) {
       return chat(work, [](const ChatPrompt& p) { return p.tool_use == ToolUse::kRequired; });
     }},
    {"parallel_tool_calls", &Carried::single_tool,
     [](const Work& work) {
       return chat(work, [](const ChatPrompt& p) { return !p.tools.empty() && !p.parallel_tool_calls; });
     }},
    {"continue_final_message", &Carried::continues,
     [](const Work& work) {
       return chat(work, [](const ChatPrompt& p) { return p.continue_final_message; });
     }},
    {"top_k", &Carried::top_k, [](const Work& work) { return work.sampling.top_k.has_value(); }},
    {"min_p", &Carried::min_p, [](const Work& work) { return work.sampling.min_p.has_value(); }},
    {"presence_penalty", &Carried::penalties,
     [](const Work& work) { return work.sampling.presence_penalty.value_or(0) != 0; }},
    {"frequency_penalty", &Carried::penalties,
     [](const Work& work) { return work.sampling.frequency_penalty.value_or(0) != 0; }},
    {"repetition_penalty", &Carried::repetition,
     [](const Work& work) { return work.sampling.repetition_penalty.has_value(); }},
    {"typical_p", &Carried::typical_p, [](const Work& work) { return work.sampling.typical_p.has_value(); }},
    {"top_n_sigma", &Carried::top_n_sigma,
     [](const Work& work) { return work.sampling.top_n_sigma.has_value(); }},
    {"repeat_last_n", &Carried::window,
     [](const Work& work) { return work.sampling.penalty_window.has_value(); }},
    {"logit_bias", &Carried::token_choice,
     [](const Work& work) { return !work.sampling.logit_bias.empty(); }},
    {"allowed_token_ids", &Carried::token_choice,
     [](const Work& work) { return !work.sampling.allowed_tokens.empty(); }},
    {"stop_token_ids", &Carried::token_choice,
     [](const Work& work) { return !work.stop.stop_tokens.empty(); }},
    {"include_stop_str_in_output", &Carried::include_stop,
     [](const Work& work) { return work.stop.include_stop; }},
    {"ignore_eos", &Carried::ignore_eos, [](const Work& work) { return work.stop.ignore_eos; }},
    {"min_tokens", &Carried::min_tokens, [](const Work& work) { return work.stop.min_tokens > 0; }},
    {"bad_words", &Carried::bad_words, [](const Work& work) { return !work.bad_words.empty(); }},
    {"logprobs", &Carried::logprobs, [](const Work& work) { return work.top_logprobs.has_value(); }},
    {"truncate_prompt_tokens", &Carried::truncation,
     [](const Work& work) { return work.truncation.has_value(); }},
    {"add_special_tokens", &Carried::add_special,
     [](const Work& work) { return work.add_special.has_value(); }},
    {"cache_salt", &Carried::salt, [](const Work& work) { return !work.cache_salt.empty(); }},
    {"resume", &Carried::resumes,
     [](const Work& work) { return !work.resume.empty() || !work.resume_text.empty(); }},
});

bool formats(const Carried& carried, Kind kind) {
  switch (kind) {
    case Kind::kText:
      return true;
    case Kind::kJsonObject:
      return carried.json_object;
    case Kind::kJsonSchema:
      return carried.json_schema;
    case Kind::kGrammar:
      return carried.grammar;
  }
  return false;
}

}  // namespace

Error cannot_carry(std::string field, std::string_view protocol, std::string_view why) {
  std::string message =
      why.empty() ? fmt::format("{} cannot be told to a server that speaks {}: leave it out", field, protocol)
                  : fmt::format("{} {} for a server that speaks {}", field, why, protocol);
  // Of this process, since no server was asked; see `again_after`.
  return Error{.code = ErrorCode::kInvalidArgument,
               .origin = Origin::kLocal,
               .retry = Retry::kElsewhere,
               .message = std::move(message),
               .param = std::move(field),
               .reason = "unsupported_parameter"};
}

Result<void> check_carried(const InferenceRequest& request, const Carried& carried,
                           std::string_view protocol) {
  const GenerateRequest* work = request.generation();
  if (work == nullptr) {
    return fail(cannot_carry(
        "body", protocol,
        "has parts or values that this gateway does not understand, and cannot be written anew"));
  }
  if (work->refusal) {
    Error error = *work->refusal;
    error.origin = Origin::kLocal;
    error.retry = Retry::kElsewhere;
    return fail(std::move(error));
  }
  for (const Part& part : kParts) {
    if (!(carried.*part.can) && part.asks(*work)) return fail(cannot_carry(part.field, protocol));
  }
  if (!carried.seed && work->sampling.seed && !request.seed_chosen)
    return fail(cannot_carry("seed", protocol));
  if (!formats(carried, work->format.kind))
    return fail(cannot_carry(std::string(work->format.field()), protocol));
  if (work->echo) return fail(cannot_carry("echo", protocol));
  if (work->prompt_logprobs) return fail(cannot_carry("prompt_logprobs", protocol));
  return {};
}

}  // namespace autoglm::protocol
