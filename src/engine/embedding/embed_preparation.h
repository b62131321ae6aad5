#pragma once

#include "base/result.h"
#include "engine/model_view.h"
#include "inference/embed_request.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace autoglm::engine {

/// A request for vectors or scores, ready to be computed.
struct EmbedPreparation {
  std::shared_ptr<const ModelView> model;
  std::vector<std::vector<TokenId>> sequences;
  std::uint32_t tokens = 0;  ///< of all of them
  std::size_t bytes = 0;     ///< memory of this and of what is computed from it
  /// The answer, from the numbers of each sequence. Short, and called once.
  std::move_only_function<WholeAnswer(std::vector<std::vector<float>> outputs)> answer;
};

/// Tokenizes and checks the texts; an embedding model scores by the cosine of two vectors. May take long;
/// thread-safe. Errors: kInvalidArgument with the field, also for a model that does other work.
Result<EmbedPreparation> prepare(std::shared_ptr<const ModelView> model, const EmbedRequest& work);
Result<EmbedPreparation> prepare(std::shared_ptr<const ModelView> model, const ScoreRequest& work);

/// Bytes of the texts, by which the time to tokenize them is estimated.
std::size_t text_bytes(const EmbedRequest& work);
std::size_t text_bytes(const ScoreRequest& work);

}  // namespace autoglm::engine
