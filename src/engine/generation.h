#pragma once

#include "engine/engine_worker.h"

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::engine {

/// One choice of a request during its generation.
struct EngineWorker::Choice {
  Generation* generation = nullptr;
  std::uint32_t number = 0;
  SequenceKey key;
  std::vector<TokenId> tokens;      ///< prompt and answer; only the answer before it is queued or begins
  std::uint32_t prompt_tokens = 0;  ///< of those
  std::uint32_t siblings = 1;       ///< choices that begin at the end of this one's prompt, itself included
  bool admitted = false;
  bool begun = false;
  AnswerText text;
  std::unique_ptr<TokenConstraint> constraint;  ///< for a resumed choice, until the sampler takes it
  std::unique_ptr<TokenSampler> sampler;        ///< exists from the choice's beginning to its end
  MonotonicTime last_token;
  std::uint32_t reported = 0;     ///< prompt tokens whose logprobs have been sent
  std::size_t prompt_offset = 0;  ///< bytes of their text
};

/// A request during its generation. Belongs to the engine's thread.
struct EngineWorker::Generation {
  Submission submission;
  const GenerateRequest* work = nullptr;
  std::uint64_t seed = 0;
  std::vector<std::unique_ptr<Choice>> choices;
  std::uint32_t unfinished = 0;
  bool started = false;
  bool first_token_sent = false;
  Usage usage;

  const std::string& echo_of(const Choice& choice) const {
    return submission.prompts[choice.number / work->n].echo;
  }

  /// The error that the request's format allows no further token.
  Error dead_end() const {
    const std::string field(!work->sampling.allowed_tokens.empty()           ? "allowed_token_ids"
                            : !submission.banned.empty()                     ? "bad_words"
                            : work->format.kind == OutputFormat::Kind::kText ? "tools"
                                                                             : work->format.field());
    return invalid_field(
        field, fmt::format(
                   "{} leaves no token to go on with: it contradicts itself, or allows too many ways at once",
                   field));
  }
};

}  // namespace autoglm::engine
