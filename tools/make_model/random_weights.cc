#include "random_weights.h"

#include <cmath>

namespace autoglm::make_model {

void fill_uniform(Random& random, std::span<float> values) {
  const float scale = std::sqrt(3.0F / static_cast<float>(values.size())) / 32768.0F;
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % 4 == 0) bits = random();
    values[i] = (static_cast<float>(bits & 0xFFFFU) - 32767.5F) * scale;
    bits >>= 16U;
  }
}

}  // namespace autoglm::make_model
