#pragma once

#include "engine/backends/vocabulary.h"
#include "engine/text/text_assembler.h"
#include "inference/events.h"
#include "inference/request.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::engine {

/// Turns one choice's tokens into text and finds where the choice ends. Works the same for tokens just chosen
/// and for tokens that another engine chose before. Pure.
class AnswerText {
 public:
  struct Rules {
    const StopConditions* stop;                               ///< the request's, which outlives this
    std::shared_ptr<const std::vector<std::string>> strings;  ///< that end the choice: the request's, the
                                                              ///< template's
    std::uint32_t max_tokens;                                 ///< the most that the context allows
    bool constrained;                                         ///< by a grammar
    std::size_t offset;                                       ///< bytes of text before the answer
  };
  AnswerText(const Vocabulary& vocabulary, Rules rules);

  /// Appends to `out` the text that has become certain with `token`. Returns the reason when the choice ends
  /// with it; nothing may be added afterwards.
  std::optional<FinishReason> add(TokenId token, std::string& out);

  std::uint32_t tokens() const { return tokens_; }
  /// The stop string that ended the choice; empty: none did.
  std::string stop() const { return assembler_.found() == nullptr ? std::string() : *assembler_.found(); }
  /// Bytes of text before the next token, including those held back.
  std::size_t offset() const { return rules_.offset; }

 private:
  bool ends(TokenId token) const;

  const Vocabulary* vocabulary_;
  Rules rules_;
  TextAssembler assembler_;
  std::uint32_t tokens_ = 0;
};

}  // namespace autoglm::engine
