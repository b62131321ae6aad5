#include "cluster/health/health_watch.h"

#include "runtime/event_loop.h"
#include "runtime/signal.h"

#include <algorithm>
#include <utility>

namespace autoglm::cluster {

std::optional<CheckResult> meaning_of(const Result<void>& checked) {
  if (checked) return CheckResult::kWell;
  if (checked.error().origin == Origin::kLocal) return std::nullopt;
  return checked.error().reason == "connect_failed" ? CheckResult::kAbsent : CheckResult::kUnwell;
}

void HealthWatch::add(Watched watched, Duration delay) {
  auto& entry = entries_[watched.state.get()];
  entry.reset(new Entry{.watched = std::move(watched), .order = added_++, .task = {}});
  if (running_) begin(*entry, delay);
}

void HealthWatch::remove(const MemberState& state) { entries_.erase(&state); }

std::optional<Result<void>> HealthWatch::last_check(const MemberState& state) const {
  const auto found = entries_.find(&state);
  return found == entries_.end() ? std::nullopt : found->second->last;
}

std::vector<HealthWatch::Entry*> HealthWatch::in_order() {
  std::vector<Entry*> all;
  for (auto& [state, entry] : entries_) all.push_back(entry.get());
  std::ranges::sort(all, {}, &Entry::order);
  return all;
}

void HealthWatch::begin(Entry& entry, Duration delay) {
  ++begun_;
  entry.task.spawn(watch(entry, delay, Random(random_())));
}

Task<void> HealthWatch::run() {
  struct Stop {
    HealthWatch& watch;
    ~Stop() {
      watch.running_ = false;
      for (Entry* entry : watch.in_order()) entry->task.cancel();
    }
  };
  const Stop on_exit{*this};
  running_ = true;
  // Spreads the checks: a few endpoints begin at once, ten thousand within ten seconds.
  Duration delay = Duration::zero();
  for (Entry* entry : in_order()) {
    begin(*entry, delay);
    delay += std::chrono::milliseconds(1);
  }
  Signal never;
  co_await never.wait();
}

Task<void> HealthWatch::watch(Entry& entry, Duration delay, Random random) {
  const HealthConfig& health = options_.health;
  co_await sleep_for(delay);
  while (true) {
    const Result<void> checked = co_await entry.watched.checks->check(health.path, health.timeout);
    tell(entry, checked);
    if (checked && options_.asks_load) co_await ask_load(entry.watched);
    co_await sleep_for(
        std::chrono::duration_cast<Duration>(health.interval * (0.9 + 0.2 * random.uniform())));
  }
}

void HealthWatch::tell(Entry& entry, const Result<void>& checked) {
  entry.last = checked;
  const MemberState& state = *entry.watched.state;
  const auto means = meaning_of(checked);
  if (means && entry.watched.take(*means, std::chrono::steady_clock::now())) tell_of_change(state, checked);
  tell_of_others(std::chrono::steady_clock::now());
  if (!checked && checked.error().code == ErrorCode::kNotFound && !std::exchange(entry.told_of_path, true)) {
    log_.warning(
        "the health path answers 404; configure one that the endpoint has, or \"\": a connection is enough "
        "then",
        {{"model", options_.model},
         {"endpoint", state.name},
         {"key", "health.path"},
         {"path", options_.health.path}});
  }
}

/// When a network breaks, thousands change at once.
void HealthWatch::tell_of_change(const MemberState& state, const Result<void>& checked) {
  if (lines_ == 0) lines_since_ = std::chrono::steady_clock::now();
  if (lines_++ >= kMostLines) {
    ++(state.health.well() ? others_back_ : others_out_);
    return;
  }
  log_.warning(state.health.well() ? "endpoint is back" : "endpoint is out",
               {{"model", options_.model},
                {"endpoint", state.name},
                {"error", checked ? std::string() : checked.error().log_message()}});
}

/// The next check behind the second tells of what had no line.
void HealthWatch::tell_of_others(MonotonicTime now) {
  if (lines_ == 0 || now - lines_since_ < std::chrono::seconds(1)) return;
  if (others_out_ + others_back_ > 0)
    log_.warning("further endpoints are out, or back",
                 {{"model", options_.model}, {"out", others_out_}, {"back", others_back_}});
  lines_ = others_out_ = others_back_ = 0;
}

Task<void> HealthWatch::ask_load(const Watched& watched) {
  MemberState& state = *watched.state;
  const std::uint32_t in_flight = state.in_flight.load();
  if (!co_await watched.checks->scrape_load(options_.health.timeout)) co_return;
  const LoadReport load = watched.endpoint->load();
  state.reported.store(load.running + load.waiting);
  state.in_flight_at_report.store(in_flight);
}

}  // namespace autoglm::cluster
