#pragma once

#include "engine/backends/backend.h"
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

/// One choice, token by token: what it is as text, and where it ends. The same for tokens just chosen and for
/// those that somebody else chose before. Pure.
class AnswerText {
 public:
  struct Rules {
    const StopConditions* stop;                               ///< the request's, which outlives this
    std::shared_ptr<const std::vector<std::string>> strings;  ///< that end it: the request's, the template's
    std::uint32_t max_tokens;                                 ///< what the context leaves, at most
    bool constrained;                                         ///< by a grammar
    std::size_t offset;                                       ///< bytes of text that stand before the answer
  };
  AnswerText(const Backend& backend, Rules rules);

  /// Appends to `out` what has become certain by `token`. The reason when the choice ends with it: nothing
  /// may be added any more.
  std::optional<FinishReason> add(TokenId token, std::string& out);

  std::uint32_t tokens() const { return tokens_; }
  /// Bytes of text before the next token, held back ones included.
  std::size_t offset() const { return rules_.offset; }

 private:
  bool ends(TokenId token) const;

  const Backend* backend_;
  Rules rules_;
  TextAssembler assembler_;
  std::uint32_t tokens_ = 0;
};

}  // namespace autoglm::engine
