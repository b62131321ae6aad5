#include "observe/metrics/registry.h"

#include "base/assert.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>
#include <list>
#include <map>
#include <mutex>
#include <variant>

namespace autoglm::observe {

namespace detail {

std::size_t metric_slot() {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t slot = next.fetch_add(1, std::memory_order_relaxed) % kMetricSlots;
  return slot;
}

}  // namespace detail

std::uint64_t Counter::value() const {
  std::uint64_t sum = 0;
  for (const auto& cell : cells_) sum += cell.value.load(std::memory_order_relaxed);
  return sum;
}

Histogram::Histogram(std::span<const double> bounds) : bounds_(bounds.begin(), bounds.end()) {
  AUTOGLM_ASSERT(std::ranges::is_sorted(bounds_), "histogram bounds must ascend");
  for (Cell& cell : cells_) cell.buckets = std::vector<std::atomic<std::uint64_t>>(bounds_.size() + 1);
}

void Histogram::observe(double value) {
  Cell& cell = cells_[detail::metric_slot()];
  const auto bucket = static_cast<std::size_t>(std::ranges::lower_bound(bounds_, value) - bounds_.begin());
  cell.buckets[bucket].fetch_add(1, std::memory_order_relaxed);
  cell.sum.fetch_add(value, std::memory_order_relaxed);
}

std::vector<std::uint64_t> Histogram::bucket_counts() const {
  std::vector<std::uint64_t> counts(bounds_.size() + 1);
  for (const Cell& cell : cells_) {
    for (std::size_t i = 0; i < counts.size(); ++i)
      counts[i] += cell.buckets[i].load(std::memory_order_relaxed);
  }
  return counts;
}

std::uint64_t Histogram::count() const {
  std::uint64_t total = 0;
  for (const std::uint64_t bucket : bucket_counts()) total += bucket;
  return total;
}

double Histogram::sum() const {
  double total = 0;
  for (const Cell& cell : cells_) total += cell.sum.load(std::memory_order_relaxed);
  return total;
}

struct MetricRegistry::State {
  using Metric = std::variant<std::unique_ptr<Counter>, std::unique_ptr<Gauge>, std::unique_ptr<Histogram>,
                              std::function<double()>, std::function<void(const Emit&)>>;
  struct Series {
    Labels labels;
    Metric metric;
  };
  struct Family {
    prometheus::MetricType type = prometheus::MetricType::Untyped;
    std::string help;
    std::list<Series> series;
  };

  Family& family(std::string_view name, std::string_view help, prometheus::MetricType type) {
    auto [position, added] = families.try_emplace(std::string(name));
    if (added) {
      position->second.type = type;
      position->second.help = help;
    }
    AUTOGLM_ASSERT(position->second.type == type, "one metric name has one type");
    return position->second;
  }

  template <class T>
  static T* find(Family& in, const Labels& labels) {
    for (Series& series : in.series) {
      if (series.labels != labels) continue;
      if (const auto* metric = std::get_if<std::unique_ptr<T>>(&series.metric)) return metric->get();
    }
    return nullptr;
  }

  template <class T, class... Args>
  T& find_or_add(Family& in, Labels labels, const Args&... args) {
    if (T* known = find<T>(in, labels)) return *known;
    if (in.series.size() >= kMaxSeries) {
      for (auto& [key, value] : labels) value = "other";
      if (T* other = find<T>(in, labels)) return *other;
    }
    in.series.push_back({std::move(labels), std::make_unique<T>(args...)});
    return *std::get<std::unique_ptr<T>>(in.series.back().metric);
  }

  /// Adds what is read at scrape time, until the token is dropped.
  static std::shared_ptr<void> add(const std::shared_ptr<State>& state, Kind kind, std::string_view name,
                                   std::string_view help, Series read) {
    const auto type =
        kind == Kind::kCounter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
    const std::lock_guard lock(state->mutex);
    auto& series = state->family(name, help, type).series;
    series.push_back(std::move(read));
    const auto position = std::prev(series.end());
    return {&*position, [state, &series, position](void*) {
              const std::lock_guard unlink(state->mutex);
              series.erase(position);
            }};
  }

  static prometheus::ClientMetric distribution(const Labels& labels, const Histogram& histogram);

  std::mutex mutex;
  std::map<std::string, Family, std::less<>> families;  // sorted, so that scrapes are stable
};

MetricRegistry::MetricRegistry() : state_(std::make_shared<State>()) {}
MetricRegistry::~MetricRegistry() = default;

Counter& MetricRegistry::counter(std::string_view name, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(state_->mutex);
  return state_->find_or_add<Counter>(state_->family(name, help, prometheus::MetricType::Counter), labels);
}

Gauge& MetricRegistry::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(state_->mutex);
  return state_->find_or_add<Gauge>(state_->family(name, help, prometheus::MetricType::Gauge), labels);
}

Histogram& MetricRegistry::histogram(std::string_view name, std::string_view help,
                                     std::span<const double> bounds, const Labels& labels) {
  const std::lock_guard lock(state_->mutex);
  return state_->find_or_add<Histogram>(state_->family(name, help, prometheus::MetricType::Histogram), labels,
                                        bounds);
}

std::shared_ptr<void> MetricRegistry::callback(Kind kind, std::string_view name, std::string_view help,
                                               const Labels& labels, std::function<double()> read) {
  return State::add(state_, kind, name, help, {labels, std::move(read)});
}

std::shared_ptr<void> MetricRegistry::collection(Kind kind, std::string_view name, std::string_view help,
                                                 std::function<void(const Emit&)> read) {
  return State::add(state_, kind, name, help, {{}, std::move(read)});
}

namespace {

prometheus::ClientMetric sample_of(prometheus::MetricType type, const Labels& labels, double value) {
  prometheus::ClientMetric metric;
  for (const auto& [key, text] : labels) metric.label.push_back({key, text});
  (type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  return metric;
}

}  // namespace

prometheus::ClientMetric MetricRegistry::State::distribution(const Labels& labels,
                                                             const Histogram& histogram) {
  prometheus::ClientMetric metric = sample_of(prometheus::MetricType::Histogram, labels, 0);
  const auto counts = histogram.bucket_counts();
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    cumulative += counts[i];
    const auto& bounds = histogram.bounds_;
    metric.histogram.bucket.push_back(
        {cumulative, i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity()});
  }
  metric.histogram.sample_count = cumulative;
  metric.histogram.sample_sum = histogram.sum();
  return metric;
}

std::string MetricRegistry::serialize() const {
  std::vector<prometheus::MetricFamily> out;
  const std::lock_guard lock(state_->mutex);
  for (const auto& [name, family] : state_->families) {
    prometheus::MetricFamily target{name, family.help, family.type, {}};
    const auto add = [&](const Labels& labels, double value) {
      target.metric.push_back(sample_of(family.type, labels, value));
    };
    for (const State::Series& series : family.series) {
      if (const auto* counter = std::get_if<std::unique_ptr<Counter>>(&series.metric)) {
        add(series.labels, static_cast<double>((*counter)->value()));
      } else if (const auto* gauge = std::get_if<std::unique_ptr<Gauge>>(&series.metric)) {
        add(series.labels, (*gauge)->value());
      } else if (const auto* histogram = std::get_if<std::unique_ptr<Histogram>>(&series.metric)) {
        target.metric.push_back(State::distribution(series.labels, **histogram));
      } else if (const auto* read = std::get_if<std::function<double()>>(&series.metric)) {
        add(series.labels, (*read)());
      } else {
        std::get<std::function<void(const Emit&)>>(series.metric)(add);
      }
    }
    if (!target.metric.empty()) out.push_back(std::move(target));
  }
  return prometheus::TextSerializer().Serialize(out);
}

}  // namespace autoglm::observe
