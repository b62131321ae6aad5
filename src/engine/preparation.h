#pragma once

#include "base/result.h"
#include "engine/model_view.h"
#include "engine/text/answer_text.h"
#include "inference/request.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::engine {

/// The state in which a choice begins: at its prompt's end, or after tokens from another engine.
struct ChoiceStart {
  std::vector<TokenId> tokens;                  ///< generated already
  AnswerText text;                              ///< has taken `tokens`
  std::unique_ptr<TokenConstraint> constraint;  ///< has accepted `tokens`; null: the preparation's
  std::optional<FinishReason> finished;         ///< if the last of `tokens` ended the choice
};

/// A request that is ready to be computed.
struct Preparation {
  std::shared_ptr<const ModelView> model;  ///< the rest refers to it
  struct PromptTokens {
    std::vector<TokenId> tokens;
    std::string echo;           ///< the text with which its answers begin
    std::size_t unwritten = 0;  ///< bytes that its first token has and `echo` lacks
  };
  std::vector<PromptTokens> prompts;
  std::vector<std::vector<TokenId>> banned;     ///< the request's bad words, as tokens
  std::vector<ChoiceStart> choices;             ///< of the first prompt, then of the second, …
  std::unique_ptr<TokenConstraint> constraint;  ///< cloned for a choice when it begins; null: unconstrained
  std::vector<std::unique_ptr<ChatParser>> parsers;  ///< one per choice, in a chat
  std::vector<std::uint64_t> landmarks;              ///< of the first prompt
  /// Memory of this object and of everything made from it at the same time.
  std::size_t bytes = 0;
};

/// The limit for one request.
constexpr std::size_t kMostPreparedBytes = std::size_t{256} << 20U;

/// Tokenizes, applies templates and grammars, replays resumed choices, and checks that the request fits the
/// context and `kMostPreparedBytes`; the memory is checked before it is used. May take milliseconds;
/// thread-safe. `work` must outlive the result. Errors: kInvalidArgument with the field.
Result<Preparation> prepare(std::shared_ptr<const ModelView> model, const GenerateRequest& work);

/// The time that `prepare` takes, estimated from its input: too little to be worth another thread, or so much
/// that other requests should not wait for it.
enum class PreparationTime : std::uint8_t { kNone, kShort, kLong };
PreparationTime time_of(const GenerateRequest& work);
PreparationTime time_of(const Prompt& prompt);
/// The same of so many bytes of text.
PreparationTime time_of_text(std::size_t bytes);

/// Checks that a text is short enough to be tokenized by itself, when there is no context that it must fit.
Result<void> check_text(const Prompt& prompt);

/// The prompt's tokens, without the rest of a preparation.
Result<std::vector<TokenId>> tokens_of(const ModelView& model, const Prompt& prompt, bool add_special);

}  // namespace autoglm::engine
