#pragma once

#include "base/clock.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace autoglm::gateway {

/// How many requests at a time an upstream works on before they queue up in it: found out from the time to
/// the first token per token of prompt, as Netflix's Gradient2 and Envoy's gradient controller do it from
/// latencies. The time of a window of answers is compared with the upstream's best time. While it is at most
/// `kTolerance` times that, the limit grows by its square root, if it is used; beyond, it shrinks by the
/// ratio. The best time is measured again, when it has become old, with three quarters of the limit: at its
/// limit an upstream never shows it. The limit goes there by one for each two requests, so that others are
/// admitted meanwhile; at once, none would be for a quarter of an answer's time. A request without an answer
/// counts with the time that it has waited. Pure; constant memory; not thread-safe.
class GradientLimit {
 public:
  struct Bounds {
    std::uint32_t least = 4;
    std::uint32_t most = 1000;
  };
  struct Sample {
    Duration took{};                  ///< from the place to the first token, or to the end without one
    std::uint64_t prompt_tokens = 1;  ///< as estimated
    std::uint32_t in_flight = 0;      ///< when it began, itself included
    bool answered = true;
  };

  static constexpr std::uint32_t kBegin = 16;
  static constexpr double kTolerance = 2;
  static constexpr Duration kWindow = std::chrono::milliseconds(500);
  static constexpr Duration kBestAge = std::chrono::minutes(2);

  GradientLimit() : GradientLimit(Bounds()) {}
  explicit GradientLimit(Bounds bounds);

  void observe(const Sample& sample, MonotonicTime now);
  void change(Bounds bounds);
  std::uint32_t limit() const;

 private:
  static constexpr std::size_t kLeastSamples = 8;
  static constexpr std::size_t kMostSamples = 64;
  static constexpr double kFixedTokens = 64;  // what an answer costs beside its prompt

  void end_window(MonotonicTime now);
  void measure_best(double median, MonotonicTime now);
  bool is_probed(const Sample& sample);
  double bounded(double limit) const;

  Bounds bounds_;
  double limit_;
  bool ramping_ = true;         // until the first sign of a queue the limit grows by half
  std::optional<double> best_;  // seconds per token
  MonotonicTime best_at_{};
  std::optional<double> probe_;  // the limit, while it is lowered to measure the best time
  std::optional<MonotonicTime> window_;
  std::array<double, kMostSamples> samples_{};
  std::size_t count_ = 0;
  std::uint32_t most_in_flight_ = 0;
};

}  // namespace autoglm::gateway
