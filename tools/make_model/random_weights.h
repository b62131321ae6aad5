#pragma once

#include "base/random.h"

#include <span>

namespace autoglm::make_model {

/// Uniform weights of variance 1/columns; four 16-bit values a draw, since quantization keeps far fewer bits.
void fill_uniform(Random& random, std::span<float> values);

}  // namespace autoglm::make_model
