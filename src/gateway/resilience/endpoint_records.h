#pragma once

#include "base/clock.h"
#include "base/function_ref.h"
#include "gateway/resilience/endpoint_record.h"
#include "gateway/resilience/waiting_line.h"
#include "http/url.h"
#include "observe/metrics/registry.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace autoglm::gateway {

/// What tells the endpoints of a model apart.
inline std::string address_of(const http::Url& api) { return api.origin() + api.target; }

/// The records of a model's endpoints, by address: a membership that names an endpoint again finds its
/// record. One that no list names and no request uses is kept for a while, so that a server which comes and
/// goes keeps its breaker's state and its ejections. Counters of an endpoint are shown as long as its record
/// is there; more than `kNamed` endpoints share one series, "other". Used by one thread, and scraped by any.
class EndpointRecords {
 public:
  /// Records of endpoints that left, at most: those that left last.
  static constexpr std::size_t kKept = 1024;
  /// Endpoints with series of their own: members first, those that were there first before others.
  static constexpr std::size_t kNamed = observe::MetricRegistry::kMaxSeries;

  EndpointRecords(observe::MetricRegistry& registry, std::string model);

  /// Of an API's address. `breaker` configures a record that is new.
  std::shared_ptr<EndpointRecord> of(const http::Url& api, const BreakerConfig& breaker);
  /// A pool's list names the endpoint from now on, or no longer does. `joins` returns whether it is back: for
  /// a time, no list has named it.
  bool joins(const std::string& address);
  void leaves(const std::string& address, MonotonicTime now);
  /// How long the record of an endpoint that left is kept.
  void keep_for(Duration time) { keep_for_ = time; }
  /// The requests that wait for a place at one of the endpoints.
  const std::shared_ptr<WaitingLine>& line() const { return line_; }
  /// Forgets the records that are no longer kept and have no other owner.
  void sweep(MonotonicTime now);
  std::size_t size() const { return known_.size(); }

 private:
  /// Ejections, then attempts by outcome.
  using Counts = std::array<std::uint64_t, 1 + kOutcomes>;
  struct Known {
    std::shared_ptr<EndpointRecord> record;
    std::string_view address;              // the key in known_
    std::uint32_t lists = 0;               // that name it
    std::optional<MonotonicTime> left;     // the last of the lists; none: was in none yet
    std::list<Known*>::iterator position;  // in idle_, while no list names it
    bool named = false;                    // has series of its own
    Counts given{};                        // of its counts, those that its series, or "other", do not show
  };

  static Counts counts_of(const EndpointRecord& record);
  std::string name_for(const http::Url& api) const;
  void forget(Known& known);
  void give_to_others(Known& known);
  void set_named(Known& known, bool named);
  void name_one(Known& known);
  void name_others();
  void add_metrics(observe::MetricRegistry& registry);
  void each_count(std::size_t which, FunctionRef<void(const std::string&, double)> emit) const;
  void each_member(FunctionRef<void(const std::string&, const EndpointRecord&)> emit) const;

  const std::string model_;
  Duration keep_for_ = std::chrono::minutes(10);
  std::shared_ptr<WaitingLine> line_ = std::make_shared<WaitingLine>(0);
  mutable std::mutex mutex_;  // a scrape reads what is below; one thread changes it
  std::unordered_map<std::string, Known> known_;
  std::list<Known*> idle_;                      // that no list names, in the order in which they left
  std::unordered_set<std::string_view> names_;  // of the records
  std::size_t named_ = 0;
  std::size_t named_idle_ = 0;  // of those in idle_
  bool has_others_ = false;     // there has been a member without series of its own
  Counts others_{};             // of them, besides what they have counted since
  MemberId last_id_;
  std::vector<std::shared_ptr<void>> metrics_;  // last: they read the above
};

}  // namespace autoglm::gateway
