#pragma once

#include "base/published.h"
#include "gateway/resilience/member_list.h"
#include "gateway/resilience/pool_config.h"
#include "gateway/resilience/waiting_line.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

namespace autoglm::gateway {

/// The endpoints of a pool, what is known of them, and which may be asked. Loops share this and look at the
/// present list when something has changed; no lock on the path of a request that succeeds. Takes the time as
/// an argument.
class EndpointSet {
 public:
  explicit EndpointSet(const PoolConfig& config, std::shared_ptr<WaitingLine> line = nullptr);

  /// Makes this the list: every loop sees it at its next look, and requests that wait look again. What stays
  /// in it keeps all that is known of it. Control loop only.
  void set(std::shared_ptr<const MemberList> list);
  std::shared_ptr<const MemberList> list() const { return list_.get(); }
  /// Applies this set's configuration to the line and the breakers, which outlive configurations.
  void take_effect();

  WaitingLine& line() { return *line_; }

  /// One loop's summary of all endpoints, so that a request need not look at each. `version` 0: none yet.
  struct Outlook {
    std::shared_ptr<const MemberList> list;  ///< that it is of; null: none yet
    std::uint64_t version = 0;
    MonotonicTime until;
    bool panic = false;       ///< too few are well to believe the checks
    bool any_well = false;    ///< of the endpoints that are no backups
    bool any_backup = false;  ///< a backup is well
  };
  /// Brings `outlook` up to date: O(endpoints), but only when something has changed.
  void look(Outlook& outlook, MonotonicTime now) const;

  /// Whether it is enabled, and well, and not ejected.
  bool available(const Member& member, MonotonicTime now) const {
    const cluster::MemberState& state = *member.state;
    return state.enabled.load(std::memory_order_relaxed) && state.health.well() && !state.health.ejected(now);
  }

  /// Takes a check's result; returns whether what is believed of the endpoint has changed. Control loop only.
  bool checked(EndpointRecord& record, cluster::CheckResult result, MonotonicTime now);
  /// Takes a failure of one in `list`; returns whether it ejects the endpoint. `ended`: the failures that
  /// were ended by a success which this failure takes back.
  bool failed(const PoolMember& member, const MemberList& list, cluster::EndpointHealth::Failures ended,
              MonotonicTime now);
  /// While every breaker of `list` is open and no probe is under way: admits the member in `slot` at once,
  /// and no other endpoint until that attempt or a sleep window has ended.
  std::optional<CircuitBreaker::Permission> probe_alone(const MemberList& list, std::size_t slot,
                                                        MonotonicTime now);
  /// False: no endpoint has that name.
  bool set_enabled(std::string_view name, bool enabled);

  /// A request's place at an endpoint, for as long as this lives.
  class Place {
   public:
    /// Nothing when the endpoint has its `max_connections`. Exact, also when several loops take at the same
    /// moment. Keeps the member alive, even one that is in no list any more.
    static std::optional<Place> take(EndpointSet& set, const Member& member) {
      if (!member.enter()) return std::nullopt;
      return Place(set, member.state);
    }
    Place(Place&& other) noexcept
        : set_(std::exchange(other.set_, nullptr)), state_(std::move(other.state_)) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(set_, other.set_);
      std::swap(state_, other.state_);
      return *this;
    }
    ~Place() { reset(); }
    /// A pointer to what lives as long as the member.
    template <class T>
    std::shared_ptr<T> keep(T* part) const {
      return {state_, part};
    }
    /// Gives the place back, and keeps the member alive all the same.
    void reset() {
      if (EndpointSet* set = std::exchange(set_, nullptr)) set->leave(*state_);
    }

   private:
    Place(EndpointSet& set, std::shared_ptr<cluster::MemberState> state)
        : set_(&set), state_(std::move(state)) {}

    EndpointSet* set_;
    std::shared_ptr<cluster::MemberState> state_;
  };

 private:
  void leave(cluster::MemberState& state);
  void changed();

  const PoolConfig& config_;
  Published<MemberList> list_{std::make_shared<const MemberList>()};
  std::atomic<std::uint64_t> version_{1};
  std::mutex probing_;                 // so that two loops do not both find no probe under way
  std::mutex ejecting_;                // so that two loops do not both eject the last endpoint that may be
  std::shared_ptr<WaitingLine> line_;  // shared by all generations, whose requests share the places
};

}  // namespace autoglm::gateway
