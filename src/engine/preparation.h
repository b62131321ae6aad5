#pragma once

#include "base/result.h"
#include "engine/backends/backend.h"
#include "engine/text/answer_text.h"
#include "inference/request.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::engine {

/// A choice as it begins: at its prompt's end, or behind what somebody else has generated of it.
struct ChoiceStart {
  std::vector<TokenId> tokens;                  ///< generated already
  AnswerText text;                              ///< which knows them
  std::unique_ptr<TokenConstraint> constraint;  ///< which knows them; none: the preparation's
  std::optional<FinishReason> finished;         ///< by the last of `tokens`
};

/// A request, ready to be computed.
struct Preparation {
  std::shared_ptr<const Backend> backend;  ///< which the rest refers to
  struct PromptTokens {
    std::vector<TokenId> tokens;
    std::string echo;           ///< the text that its answers begin with
    std::size_t unwritten = 0;  ///< bytes that its first token has and `echo` has not
  };
  std::vector<PromptTokens> prompts;
  std::vector<std::vector<TokenId>> banned;     ///< the request's bad words, as tokens
  std::vector<ChoiceStart> choices;             ///< of the first prompt, of the second, …
  std::unique_ptr<TokenConstraint> constraint;  ///< cloned for a choice when it begins; null: anything goes
  std::vector<std::unique_ptr<ChatParser>> parsers;  ///< of each choice, in a chat
  std::vector<std::uint64_t> landmarks;              ///< of the first prompt
  /// What this takes, and what begins of it at a time will.
  std::size_t bytes = 0;
};

/// Of one request.
constexpr std::size_t kMostPreparedBytes = std::size_t{256} << 20U;

/// Tokens, templates, grammars; replays what is to be resumed; checks that it fits, the context and
/// `kMostPreparedBytes`, the latter before it is made. May take milliseconds; thread-safe. `work` has to
/// outlive what is returned. Errors: kInvalidArgument with the field.
Result<Preparation> prepare(std::shared_ptr<const Backend> backend, const GenerateRequest& work);

/// What `prepare` takes, judged by what it reads: so little that it is not worth a thread, or so much that
/// others should not wait for it.
enum class PreparationTime : std::uint8_t { kNone, kShort, kLong };
PreparationTime time_of(const GenerateRequest& work);
PreparationTime time_of(const Prompt& prompt);

/// That a text is not too long for being taken apart alone, without a context that it would have to fit.
Result<void> check_text(const Prompt& prompt);

/// The prompt alone.
Result<std::vector<TokenId>> tokens_of(const Backend& backend, const Prompt& prompt, bool add_special);

}  // namespace autoglm::engine
