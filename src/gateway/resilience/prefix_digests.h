#pragma once

#include "inference/request.h"

#include <cstdint>
#include <vector>

namespace autoglm::gateway {

/// A hash at each whole block of 512 bytes of the prompt: of everything up to there. Two prompts have as many
/// in common as they share of their beginnings. Of text, since a gateway has no tokenizer; the same in every
/// instance. One pass.
std::vector<std::uint64_t> prefix_digests(const GenerateRequest& work);

}  // namespace autoglm::gateway
