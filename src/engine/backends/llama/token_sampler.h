#pragma once

#include "engine/backends/backend.h"

namespace autoglm::engine {

/// Filters from llama.cpp in vLLM's order (bias, penalties, top-k, temperature, min-p, top-p); the
/// draw over what they leave is ours. Greedy requests take the largest logit and sort nothing;
/// penalties look at the tokens that they have counted.
std::unique_ptr<TokenSampler> make_token_sampler(SamplerSetup setup);

}  // namespace autoglm::engine
