#pragma once

#include "engine/token_sampler.h"

namespace autoglm::engine {

/// Uses llama.cpp's filters in vLLM's order (bias, penalties, top-k, temperature, min-p, top-p), with
/// top-n-sigma before top-k and typical-p after it; the draw among the remaining tokens is ours. Greedy
/// requests take the largest logit without sorting; penalties look only at the tokens they have counted.
std::unique_ptr<TokenSampler> make_token_sampler(SamplerSetup setup);

}  // namespace autoglm::engine
