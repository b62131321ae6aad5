#pragma once

#include <array>
#include <cstdint>

namespace autoglm {

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11): a block of random
/// bits as a pure function of key and counter. Since a draw depends only on (seed, index), a generation can
/// be continued at any token, on any machine.
std::array<std::uint32_t, 4> philox(std::uint64_t key, std::uint64_t counter_low,
                                    std::uint64_t counter_high = 0);

/// Uniform in [0, 1), 53 bits, for draw number `index` of stream `stream` under `seed`.
double uniform_draw(std::uint64_t seed, std::uint64_t index, std::uint64_t stream = 0);

/// A sequential generator over philox, for jitter, ids and simulations. Satisfies UniformRandomBitGenerator.
/// Not thread-safe.
class Random {
 public:
  using result_type = std::uint64_t;

  explicit Random(std::uint64_t seed) : seed_(seed) {}

  /// Seeded from the operating system.
  static Random from_entropy();

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return ~result_type{0}; }
  result_type operator()();
  /// All 128 bits of a draw, for ids.
  std::array<std::uint32_t, 4> block() { return philox(seed_, counter_++); }

  /// Uniform in [0, 1).
  double uniform() { return static_cast<double>((*this)() >> 11U) * 0x1.0p-53; }
  /// Uniform in [0, bound); `bound` > 0.
  std::uint64_t below(std::uint64_t bound);

 private:
  std::uint64_t seed_;
  std::uint64_t counter_ = 0;
};

/// The calling thread's generator, seeded by the system, for numbers that need not be reproducible.
Random& thread_random();

}  // namespace autoglm
