#pragma once

#include "base/result.h"

#include <ggml.h>

#include <cstdint>
#include <string>

namespace autoglm::make_model {

/// The dimensions of a llama or qwen2 with tied embeddings.
struct TransformerShape {
  const char* architecture;  ///< GGUF's name: "llama" or "qwen2" (which has biases on q, k and v)
  const char* name;
  int layers;
  int embedding;
  int feed_forward;
  int heads;
  int kv_heads;
  int vocabulary;
  int context;
  float rope_base;
};

/// Almost nothing: for benchmarks of everything around a model, with a million tokens.
inline constexpr TransformerShape kOneLayer{.architecture = "llama",
                                            .name = "open-autoglm one layer",
                                            .layers = 1,
                                            .embedding = 64,
                                            .feed_forward = 64,
                                            .heads = 1,
                                            .kv_heads = 1,
                                            .vocabulary = 1024,
                                            .context = 4096,
                                            .rope_base = 10000.0F};

/// As stories15M: small enough that the server around it is what a benchmark measures. 15.2M parameters.
inline constexpr TransformerShape k15M{.architecture = "llama",
                                       .name = "open-autoglm 15m",
                                       .layers = 6,
                                       .embedding = 288,
                                       .feed_forward = 768,
                                       .heads = 6,
                                       .kv_heads = 6,
                                       .vocabulary = 32000,
                                       .context = 4096,
                                       .rope_base = 10000.0F};

/// As Qwen2-0.5B: the smallest model in real use. 494M parameters.
inline constexpr TransformerShape kHalfB{.architecture = "qwen2",
                                         .name = "open-autoglm 0.5b",
                                         .layers = 24,
                                         .embedding = 896,
                                         .feed_forward = 4864,
                                         .heads = 14,
                                         .kv_heads = 2,
                                         .vocabulary = 151936,
                                         .context = 32768,
                                         .rope_base = 1000000.0F};

/// A model for benchmarks: random weights (speed does not depend on them), variance-preserving so that
/// nothing overflows; it generates random words and, if greedy, never ends by itself. All matrices in `type`.
/// Streams: memory stays in the tens of megabytes. Returns the size of the file in bytes.
Result<std::uint64_t> write_random_transformer(const std::string& path, const TransformerShape& shape,
                                               ggml_type type, std::uint64_t seed);

}  // namespace autoglm::make_model
