#pragma once

#include "gateway/protocol/codec.h"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::protocol::rerank {

/// How the scores of documents are written.
enum class ScoreShape : std::uint8_t {
  kResults,  ///< Jina's and Cohere's: {"results":[{"index","relevance_score","document"?}],"usage","meta"}
  kRanks,    ///< TEI's: [{"index","score","text"?}]
  kData,     ///< vLLM's /score, in the order of the documents: {"data":[{"index","object","score"}],"usage"}
};

struct ScoreOptions {
  ScoreShape shape = ScoreShape::kResults;
  std::optional<std::size_t> top;           ///< so many of the best; absent: all
  std::vector<std::string> documents = {};  ///< to be shown with their scores; empty: they are not
  bool raw = false;                         ///< the logits of the probabilities
};

/// The document of an answer whose batch holds a ScoreResult; the best come first where the shape ranks.
std::unique_ptr<AnswerEncoder> make_score_encoder(AnswerFacts facts, ScoreOptions options);

}  // namespace autoglm::protocol::rerank
