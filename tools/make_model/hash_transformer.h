#pragma once

#include "base/result.h"

#include <ggml.h>

#include <cstdint>
#include <string>

namespace autoglm::make_model {

/// The fixture of all engine tests: a llama whose weights are constructed, not trained. It computes a 31-bit
/// hash of its whole context, token for token and in order, and generates the word that seven bits of the
/// hash choose.
///
/// Consequences for tests:
///  - every number that matters is +1 or -1 (exact in f16, too), so the best logit leads the next by 3.03
///    (2.88 with a q8_0 cache), always, where kernels and batches differ by 2e-6: greedy text must be the
///    same to the byte, alone or in any batch;
///  - a token lost, doubled, moved or taken from a neighbour's cache anywhere in the context changes half of
///    the bits, thus the next word and, with it, all that follows;
///  - at temperature 1 the best word has a probability of 0.79, so seeds make a difference; no two words of a
///    step are closer than 0.03 in logits, so seeded text is reproducible as well;
///  - a generation, put together from any words, tokenizes to the ids it came from;
///  - it never ends by itself: kImEnd has a logit 19 below the least likely word; logit_bias can force it.
///
/// How: the residual stream holds the hash H (31 values of ±1), a scratch A (31, zero between layers) and two
/// constants. Layer l = 0…11 attends to exactly one position, the one 2^l back, copies its H, permuted, into
/// A, and multiplies A into H (the product of signs is XOR; SwiGLU multiplies). Twelve such layers are a
/// parallel prefix scan (Hillis and Steele) over 4096 positions. The lag comes out of RoPE: q and k are
/// constants, and q·k = Σ cos(w_i (distance - lag)) over 16 incommensurate frequencies (`rope_freqs.weight`)
/// peaks at one distance only; a second, lower peak at distance 0 catches positions that have nothing 2^l
/// back.
///
/// `type`: f32 or q8_0 (±1 survives it), the latter for the layers' matrices only. kInvalidArgument
/// otherwise. Returns the size of the file in bytes.
Result<std::uint64_t> write_hash_transformer(const std::string& path, ggml_type type, std::uint64_t seed);

}  // namespace autoglm::make_model
