#pragma once

#include "gateway/admission/rate/rate_limiter.h"
#include "gateway/admission/rate/striped.h"

#include <boost/unordered/unordered_flat_map.hpp>

#include <memory>
#include <optional>

namespace autoglm::gateway {

/// One limit's limiters, by subject (a key, a tenant, a model). A subject gets its limiter with its first
/// take; each further new subject's take forgets a few that are fresh again. When the table is full of
/// limiters in use, new subjects share one overflow limiter of the same spec: together they get what one of
/// them would, and none gets more than its limit.
///
/// Thread-safe; a call holds one of up to 64 locks for some tens of nanoseconds. `now` may come from threads
/// that race for the lock: see RateLimiter.
class RateTable {
 public:
  /// `spec` is valid. `subjects`: about how many limiters there are at most, counted by stripe; the names
  /// come on top, whose length is the caller's to bound.
  RateTable(const RateSpec& spec, std::size_t subjects, MonotonicTime now);

  RateDecision take(std::string_view subject, std::uint64_t amount, MonotonicTime now);
  /// Of a reservation that `take` gave to `subject`; see RateLimiter::settle.
  void settle(std::string_view subject, const Reservation& reservation, std::uint64_t used,
              MonotonicTime now);
  RateState state(std::string_view subject, MonotonicTime now);
  /// The limit changes for all, one stripe after the other; see RateLimiter::change.
  void change(const RateSpec& spec, MonotonicTime now);

  /// Calls `see` for every subject that has a limiter in use, under no lock.
  void for_each_state(MonotonicTime now,
                      const std::function<void(const std::string&, const RateState&)>& see);
  void for_each_saved(MonotonicTime now,
                      const std::function<void(const std::string&, const SavedRate&)>& see);
  /// Before the first take: the subject's state, as saved `elapsed` ago. False: there is no place for it.
  bool restore(std::string_view subject, const SavedRate& saved, Duration elapsed, MonotonicTime now);

  /// Subjects that have a limiter.
  std::size_t size();

 private:
  // Flat, because what a take costs is its cache misses.
  using Limiters = boost::unordered_flat_map<std::string, RateLimiter, SubjectHash, std::equal_to<>>;
  struct alignas(64) Stripe {
    std::mutex mutex;
    std::unique_ptr<const RateSpec> spec;  // its limiters refer to it
    Limiters limiters;
    Limiters::iterator swept = limiters.end();  // the sweep goes on here; set back when the map grows
  };
  struct Overflow {
    std::mutex mutex;
    std::unique_ptr<const RateSpec> spec;
    std::optional<RateLimiter> limiter;
  };

  Stripe& stripe_of(std::string_view subject) { return stripes_.of(subject, used_); }
  /// The subject's limiter, made if need be; null when there is no place. Under the stripe's lock.
  RateLimiter* limiter_of(Stripe& stripe, std::string_view subject, MonotonicTime now);
  /// Forgets the fresh ones of the map's next `count` limiters.
  static void sweep(Stripe& stripe, std::size_t count, MonotonicTime now);
  template <class Seen, class Read>
  void for_each(MonotonicTime now, const Read& read,
                const std::function<void(const std::string&, const Seen&)>& see);

  const std::size_t used_;  // stripes; fewer for a small table, so that each holds enough
  const std::size_t most_;  // limiters of a stripe
  Striped<Stripe> stripes_;
  Overflow overflow_;
};

}  // namespace autoglm::gateway
