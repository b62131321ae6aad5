#include "engine/generation.h"

#include <exception>
#include <span>
#include <string>
#include <utility>

namespace autoglm::engine {

std::unique_ptr<EngineWorker::Choice> EngineWorker::make_choice(Generation& generation,
                                                                std::uint32_t number) {
  const GenerateRequest& work = *generation.work;
  const std::vector<TokenId>& prompt = generation.submission.prompts[number / work.n].tokens;
  ChoiceStart& start = generation.submission.choices[number];
  auto choice = std::make_unique<Choice>(Choice{.generation = &generation,
                                                .number = number,
                                                .key = SequenceKey{++last_sequence_},
                                                .tokens = std::move(start.tokens),
                                                .prompt_tokens = static_cast<std::uint32_t>(prompt.size()),
                                                .text = std::move(start.text),
                                                .constraint = std::move(start.constraint)});
  generation.usage.completion_tokens += static_cast<std::uint32_t>(choice->tokens.size());
  return choice;
}

/// Called when the choice begins, not earlier: hundreds may be waiting, each with a grammar and penalties.
/// False: out of memory, and its request has failed.
bool EngineWorker::equip(Choice& choice) {
  Generation& generation = *choice.generation;
  try {
    const auto& shared = generation.submission.constraint;
    if (!choice.constraint && shared) choice.constraint = shared->clone();
    const std::span<const TokenId> tokens(choice.tokens);
    choice.sampler = make_sampler_({.params = generation.submission.sampling,
                                    .seed = generation.seed,
                                    .choice = choice.number,
                                    .vocabulary_size = vocabulary_.facts().size,
                                    .logit_bias = generation.work->sampling.logit_bias,
                                    .allowed = generation.work->sampling.allowed_tokens,
                                    .banned = generation.submission.banned,
                                    .prompt = tokens.first(choice.prompt_tokens),
                                    .answer = tokens.subspan(choice.prompt_tokens),
                                    .constraint = std::move(choice.constraint)});
    return true;
  } catch (const std::exception& exception) {
    fail(generation, Error{.code = ErrorCode::kInternal,
                           .origin = Origin::kEndpoint,
                           .retry = Retry::kElsewhere,
                           .message = std::string("a choice could not begin: ") + exception.what(),
                           .reason = "engine_failed"});
    return false;
  }
}

}  // namespace autoglm::engine
