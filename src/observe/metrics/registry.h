#pragma once

#include "base/function_ref.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::observe {

using Labels = std::vector<std::pair<std::string, std::string>>;

namespace detail {
inline constexpr std::size_t kMetricSlots = 16;

/// This thread's cell in every metric. Threads get cells in turn; sharing a cell is only slower.
std::size_t metric_slot();

struct alignas(64) CountCell {
  std::atomic<std::uint64_t> value{0};
};
}  // namespace detail

/// A number that only grows. `add` is one relaxed addition in a cell that the thread has (almost) to itself;
/// a scrape sums the cells. Owned by its registry. Thread-safe.
class Counter {
 public:
  void add(std::uint64_t amount = 1) {
    cells_[detail::metric_slot()].value.fetch_add(amount, std::memory_order_relaxed);
  }
  std::uint64_t value() const;

 private:
  std::array<detail::CountCell, detail::kMetricSlots> cells_;
};

/// A number that goes up and down. Thread-safe.
class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// A distribution over fixed buckets, in per-thread cells like Counter. Thread-safe.
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds);
  void observe(double value);
  std::uint64_t count() const;
  double sum() const;

 private:
  friend class MetricRegistry;
  struct Cell {
    std::vector<std::atomic<std::uint64_t>> buckets;
    std::atomic<double> sum{0};
  };
  std::vector<std::uint64_t> bucket_counts() const;

  std::vector<double> bounds_;
  std::array<Cell, detail::kMetricSlots> cells_;
};

/// All metrics of a process. Asking for a metric with the same name and labels gives the same object; keep
/// the reference, since asking locks. Metrics live as long as the registry. A family holds at most
/// `kMaxSeries` label sets; all further ones share one, labelled "other". Thread-safe.
class MetricRegistry {
 public:
  static constexpr std::size_t kMaxSeries = 1000;

  MetricRegistry();
  ~MetricRegistry();

  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, std::span<const double> bounds,
                       const Labels& labels = {});
  /// A gauge or a counter whose value is read at scrape time, on the scraping thread. Drop the returned token
  /// before anything that `read` refers to.
  enum class Kind { kCounter, kGauge };
  [[nodiscard]] std::shared_ptr<void> callback(Kind kind, std::string_view name, std::string_view help,
                                               const Labels& labels, std::function<double()> read);
  /// A family's series that come and go with what they are of, such as servers: `read` gives their values at
  /// scrape time, on the scraping thread, and bounds their number itself. As for the token, see `callback`.
  using Emit = FunctionRef<void(const Labels&, double)>;
  [[nodiscard]] std::shared_ptr<void> collection(Kind kind, std::string_view name, std::string_view help,
                                                 std::function<void(const Emit&)> read);

  /// Prometheus' text format, version 0.0.4.
  std::string serialize() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace autoglm::observe
