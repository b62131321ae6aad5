#include "engine/text/answer_text.h"

#include <algorithm>
#include <utility>

namespace autoglm::engine {

AnswerText::AnswerText(const Vocabulary& vocabulary, Rules rules)
    : vocabulary_(&vocabulary),
      rules_(std::move(rules)),
      assembler_(std::move(rules_.strings), rules_.stop->include_stop) {}

std::optional<FinishReason> AnswerText::add(TokenId token, std::string& out) {
  ++tokens_;
  const std::string_view piece = vocabulary_->piece(token);
  rules_.offset += piece.size();
  if (ends(token)) {
    if (rules_.stop->include_stop) assembler_.add(piece, out);
    assembler_.finish(out);
    return FinishReason::kStop;
  }
  if (assembler_.add(piece, out)) return FinishReason::kStop;
  if (tokens_ < rules_.max_tokens) return std::nullopt;
  assembler_.finish(out);
  return FinishReason::kLength;
}

bool AnswerText::ends(TokenId token) const {
  const StopConditions& stop = *rules_.stop;
  if (std::ranges::find(stop.stop_tokens, token) != stop.stop_tokens.end()) return true;
  // A complete grammar allows nothing further, whatever ignore_eos says.
  return vocabulary_->ends_generation(token) && (!stop.ignore_eos || rules_.constrained);
}

}  // namespace autoglm::engine
