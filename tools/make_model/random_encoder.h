#pragma once

#include "base/result.h"

#include <ggml.h>

#include <cstdint>
#include <string>

namespace autoglm::make_model {

/// The dimensions of a BERT, whose tokens all see each other.
struct EncoderShape {
  const char* name;
  int layers;
  int embedding;
  int feed_forward;
  int heads;
  int vocabulary;
  int context;
  bool ranks = false;  ///< it ends in one class, else in the mean of its tokens
};

/// For tests: loads in a millisecond.
inline constexpr EncoderShape kTinyEncoder{.name = "open-autoglm tiny encoder",
                                           .layers = 2,
                                           .embedding = 64,
                                           .feed_forward = 128,
                                           .heads = 2,
                                           .vocabulary = 1024,
                                           .context = 128};
inline constexpr EncoderShape kTinyRanker{.name = "open-autoglm tiny ranker",
                                          .layers = 2,
                                          .embedding = 64,
                                          .feed_forward = 128,
                                          .heads = 2,
                                          .vocabulary = 1024,
                                          .context = 128,
                                          .ranks = true};
/// As all-MiniLM-L6 and bge-small's little sister: the smallest encoders in real use. 22M parameters.
inline constexpr EncoderShape kMiniLm{.name = "open-autoglm minilm",
                                      .layers = 6,
                                      .embedding = 384,
                                      .feed_forward = 1536,
                                      .heads = 12,
                                      .vocabulary = 30522,
                                      .context = 512};
inline constexpr EncoderShape kMiniRanker{.name = "open-autoglm minilm ranker",
                                          .layers = 6,
                                          .embedding = 384,
                                          .feed_forward = 1536,
                                          .heads = 12,
                                          .vocabulary = 30522,
                                          .context = 512,
                                          .ranks = true};

/// A model for tests and benchmarks: random weights, so that different texts have different vectors. All
/// matrices in `type`. Returns the size of the file in bytes.
Result<std::uint64_t> write_random_encoder(const std::string& path, const EncoderShape& shape, ggml_type type,
                                           std::uint64_t seed);

}  // namespace autoglm::make_model
