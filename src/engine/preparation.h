#pragma once

#include "base/result.h"
#include "engine/backends/backend.h"
#include "engine/text/answer_text.h"
#include "inference/request.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::engine {

/// A choice as it begins: at its prompt's end, or behind what somebody else has generated of it.
struct ChoiceStart {
  std::vector<TokenId> tokens;  ///< generated already
  AnswerText text;              ///< which knows them
  std::unique_ptr<TokenConstraint> constraint;
  std::optional<FinishReason> finished;  ///< by the last of `tokens`
};

/// A request, ready to be computed.
struct Preparation {
  struct PromptTokens {
    std::vector<TokenId> tokens;
    std::string echo;  ///< the text that its answers begin with
  };
  std::vector<PromptTokens> prompts;
  std::vector<ChoiceStart> choices;                  ///< of the first prompt, of the second, …
  std::vector<std::unique_ptr<ChatParser>> parsers;  ///< of each choice, in a chat
  std::vector<std::uint64_t> landmarks;              ///< of the first prompt
};

/// Tokens, templates, grammars; replays what is to be resumed; checks that it fits. May take milliseconds;
/// thread-safe. `work` has to outlive what is returned. Errors: kInvalidArgument with the field.
Result<Preparation> prepare(const Backend& backend, const GenerateRequest& work);

/// Whether `prepare` takes so little that it is not worth a thread.
bool is_quick(const GenerateRequest& work);

/// The prompt alone.
Result<std::vector<TokenId>> tokens_of(const Backend& backend, const Prompt& prompt, bool add_special);

}  // namespace autoglm::engine
