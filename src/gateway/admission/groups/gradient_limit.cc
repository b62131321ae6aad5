#include "gateway/admission/groups/gradient_limit.h"

#include <algorithm>
#include <cmath>

namespace autoglm::gateway {

namespace {

constexpr double kSteepest = 0.5;
constexpr double kRamp = 1.5;
constexpr double kProbe = 0.75;
constexpr double kLowering = 0.5;   // places that a request's first token takes off a limit that is lowered
constexpr double kSmoothing = 0.2;  // more swings: answers tell of the limit of some time ago

}  // namespace

GradientLimit::GradientLimit(Bounds bounds) : bounds_(bounds), limit_(bounded(kBegin)) {}

void GradientLimit::change(Bounds bounds) {
  bounds_ = bounds;
  limit_ = bounded(limit_);
  if (probe_) probe_ = std::min(*probe_, limit_);
}

std::uint32_t GradientLimit::limit() const {
  return static_cast<std::uint32_t>(bounded(probe_.value_or(limit_)));
}

double GradientLimit::bounded(double limit) const {
  const double most = bounds_.most;
  return std::clamp(limit, std::min<double>(bounds_.least, most), most);
}

void GradientLimit::observe(const Sample& sample, MonotonicTime now) {
  const double per_token =
      to_seconds(sample.took) / (static_cast<double>(sample.prompt_tokens) + kFixedTokens);
  // A client that leaves early says nothing of the upstream; one that has waited for long does.
  if (!sample.answered && !(best_ && per_token > kTolerance * *best_)) return;
  if (probe_ && !is_probed(sample)) return;
  if (!window_) window_ = now;
  samples_[count_ % kMostSamples] = per_token;
  ++count_;
  most_in_flight_ = std::max(most_in_flight_, sample.in_flight);
  if (count_ >= kLeastSamples && now - *window_ >= kWindow) end_window(now);
}

/// Lowers the limit further, and says whether the request began when it was low enough: those before show the
/// queue that it is lowered for.
bool GradientLimit::is_probed(const Sample& sample) {
  const double low = limit_ * kProbe;
  probe_ = std::max(low, *probe_ - kLowering);
  return sample.in_flight <= bounded(low);
}

void GradientLimit::end_window(MonotonicTime now) {
  const std::size_t kept = std::min(count_, kMostSamples);
  const auto middle = samples_.begin() + static_cast<std::ptrdiff_t>(kept / 2);
  std::nth_element(samples_.begin(), middle, samples_.begin() + static_cast<std::ptrdiff_t>(kept));
  const double median = std::max(*middle, 1e-9);
  const bool is_used = most_in_flight_ * 2 >= limit();
  window_.reset();
  count_ = 0;
  most_in_flight_ = 0;
  if (probe_) {
    probe_.reset();
    best_ = median;
    best_at_ = now;
    return;
  }
  measure_best(median, now);
  if (probe_) return;
  const double gradient = std::clamp(kTolerance * *best_ / median, kSteepest, 1.0);
  if (gradient < 1) ramping_ = false;
  if (gradient == 1 && !is_used) return;
  const double aim = ramping_ ? limit_ * kRamp : limit_ * gradient + std::sqrt(limit_);
  limit_ = bounded(limit_ + (ramping_ ? 1 : kSmoothing) * (aim - limit_));
}

void GradientLimit::measure_best(double median, MonotonicTime now) {
  if (!best_ || median <= *best_) {
    best_ = median;
    best_at_ = now;
  } else if (now - best_at_ >= kBestAge) {
    probe_ = limit_;
  }
}

}  // namespace autoglm::gateway
