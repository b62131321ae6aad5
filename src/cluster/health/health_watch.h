#pragma once

#include "base/random.h"
#include "cluster/health/checks.h"
#include "cluster/health/endpoint_health.h"
#include "cluster/health/health_config.h"
#include "cluster/membership/member_state.h"
#include "inference/endpoint.h"
#include "observe/log/logger.h"
#include "runtime/scope.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace autoglm::cluster {

/// Watches the health of a model's endpoints: checks each of them again and again, and tells what the result
/// means, one by one as long as these are few. Endpoints may come and go while it runs; the others' checks go
/// on as they were. Control loop only.
class HealthWatch {
 public:
  /// Lines about changes in a second; further ones are counted in one.
  static constexpr std::size_t kMostLines = 20;

  struct Options {
    std::string model;  ///< for the log
    HealthConfig health;
    bool asks_load = false;  ///< after a check that succeeded
  };
  /// An endpoint that is watched. All that it refers to lives as long as it is watched.
  struct Watched {
    std::shared_ptr<MemberState> state;  ///< tells endpoints apart
    std::shared_ptr<const Endpoint> endpoint;
    std::shared_ptr<Checks> checks;
    /// Takes a check's result; returns whether what is believed of the endpoint has changed.
    std::function<bool(CheckResult, MonotonicTime)> take;
  };

  HealthWatch(Options options, observe::Logger& log) : options_(std::move(options)), log_(log) {}

  /// Checks `watched` from then on: `delay` from now, or once this runs. Many that are added together get
  /// different delays, lest all are asked at once.
  void add(Watched watched, Duration delay = Duration::zero());
  /// Ends the checks of an endpoint; one that is under way has no result.
  void remove(const MemberState& state);
  /// Checks for as long as the task lives. One at a time.
  Task<void> run();

  /// The last result for an endpoint; none: not checked yet, or not watched.
  std::optional<Result<void>> last_check(const MemberState& state) const;
  std::size_t size() const { return entries_.size(); }
  /// How often the checks of an endpoint have begun, since this was made.
  std::uint64_t begun() const { return begun_; }

 private:
  struct Entry {
    Watched watched;
    std::uint64_t order;  // in which it was added
    std::optional<Result<void>> last = std::nullopt;
    bool told_of_path = false;
    Scope task;  // last: it uses the above
  };
  std::vector<Entry*> in_order();
  void begin(Entry& entry, Duration delay);
  Task<void> watch(Entry& entry, Duration delay, Random random);
  void tell(Entry& entry, const Result<void>& checked);
  void tell_of_change(const MemberState& state, const Result<void>& checked);
  void tell_of_others(MonotonicTime now);
  Task<void> ask_load(const Watched& watched);

  const Options options_;
  observe::Logger& log_;
  Random random_ = Random::from_entropy();
  std::unordered_map<const MemberState*, std::unique_ptr<Entry>> entries_;
  bool running_ = false;
  std::uint64_t added_ = 0;
  std::uint64_t begun_ = 0;
  MonotonicTime lines_since_{};                   // the second in which lines of changes are counted
  std::size_t lines_ = 0;                         // in it
  std::size_t others_out_ = 0, others_back_ = 0;  // changes of it without lines of their own
};

/// What a check's result says of the endpoint; nothing, when this process could not even ask.
std::optional<CheckResult> meaning_of(const Result<void>& checked);

}  // namespace autoglm::cluster
