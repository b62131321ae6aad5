#pragma once

#include "inference/generate_request.h"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace autoglm {

/// A vector for each of several texts, such that texts alike in meaning have vectors that point alike.
struct EmbedRequest {
  std::vector<Prompt> inputs;  ///< texts and tokens, no chats; never empty
  std::optional<std::uint32_t>
      dimensions;          ///< the vectors' first so many, scaled anew; absent: as the model has them
  bool normalized = true;  ///< vectors have length 1
  bool truncates = false;  ///< the end of an input that is too long is left out; else that is an error
};

struct EmbedResult {
  std::vector<std::vector<float>> vectors;  ///< of each input
};

/// How well each of several documents answers a query.
struct ScoreRequest {
  /// The query of each document, or one for all.
  std::vector<std::string> queries;
  std::vector<std::string> documents;  ///< never empty
  bool truncates = false;              ///< as EmbedRequest has it, of a document
};

struct ScoreResult {
  std::vector<double> scores;  ///< of each document, 0 … 1 where the model's head is a probability
};

/// The answer to a request that no text is generated for.
using WholeAnswer = std::variant<EmbedResult, ScoreResult>;

}  // namespace autoglm
