#include "base/random.h"

#include "base/assert.h"

#include <random>

namespace autoglm {

std::array<std::uint32_t, 4> philox(std::uint64_t key, std::uint64_t counter_low,
                                    std::uint64_t counter_high) {
  constexpr std::uint32_t kMultiplier0 = 0xD2511F53U;
  constexpr std::uint32_t kMultiplier1 = 0xCD9E8D57U;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9U;
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85U;

  std::array<std::uint32_t, 4> c = {
      static_cast<std::uint32_t>(counter_low), static_cast<std::uint32_t>(counter_low >> 32U),
      static_cast<std::uint32_t>(counter_high), static_cast<std::uint32_t>(counter_high >> 32U)};
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32U);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{kMultiplier0} * c[0];
    const std::uint64_t p1 = std::uint64_t{kMultiplier1} * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32U) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32U) ^ c[3] ^ k1, static_cast<std::uint32_t>(p0)};
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  return c;
}

double uniform_draw(std::uint64_t seed, std::uint64_t index, std::uint64_t stream) {
  const auto block = philox(seed, index, stream);
  const std::uint64_t bits = (std::uint64_t{block[0]} << 32U) | block[1];
  return static_cast<double>(bits >> 11U) * 0x1.0p-53;
}

Random Random::from_entropy() {
  std::random_device device;
  return Random((std::uint64_t{device()} << 32U) | device());
}

Random& thread_random() {
  thread_local Random random = Random::from_entropy();
  return random;
}

Random::result_type Random::operator()() {
  const auto block = philox(seed_, counter_++);
  return (std::uint64_t{block[0]} << 32U) | block[1];
}

std::uint64_t Random::below(std::uint64_t bound) {
  AUTOGLM_ASSERT(bound > 0, "an empty range has no element");
  // Lemire's multiply-shift; its bias of at most bound/2^64 is far below what could be noticed here.
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>((*this)()) * bound) >> 64U);
}

}  // namespace autoglm
