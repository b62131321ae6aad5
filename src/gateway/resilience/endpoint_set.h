#pragma once

#include "gateway/resilience/endpoint_record.h"
#include "gateway/resilience/pool_config.h"
#include "gateway/resilience/waiting_line.h"
#include "gateway/routing/member.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// The endpoints of a pool, what is known of them, and which may be asked. The list is immutable; shared by
/// all loops; no lock on the path of a request that succeeds. Takes the time as an argument.
class EndpointSet {
 public:
  /// `endpoints` and `records` are those of `config.endpoints`, in order; the endpoints must outlive this.
  EndpointSet(const PoolConfig& config, const std::vector<Endpoint*>& endpoints,
              std::vector<std::shared_ptr<EndpointRecord>> records,
              std::shared_ptr<WaitingLine> line = nullptr);

  /// Applies this set's configuration to the line and the breakers, which outlive configurations.
  void take_effect();

  std::span<const Member> members() const { return members_; }
  EndpointRecord& record(std::size_t member) const { return *records_[member]; }
  CircuitBreaker& breaker(std::size_t member) const { return records_[member]->breaker; }
  WaitingLine& line() { return *line_; }

  /// One loop's summary of all endpoints, so that a request need not look at each. `version` 0: none yet.
  struct Outlook {
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
    const MemberState& state = *member.state;
    return state.enabled.load(std::memory_order_relaxed) && state.health.well() && !state.health.ejected(now);
  }

  /// Takes a check's result; returns whether what is believed of the endpoint has changed. Control loop only.
  bool checked(std::size_t member, cluster::CheckResult result, MonotonicTime now);
  /// Takes a success; returns the failures that it ends.
  cluster::EndpointHealth::Failures succeeded(std::size_t member) {
    return members_[member].state->health.succeeded();
  }
  /// Takes a failure; returns whether it ejects the endpoint. `ended`: the failures that were ended by a
  /// success which this failure takes back.
  bool failed(std::size_t member, cluster::EndpointHealth::Failures ended, MonotonicTime now);
  /// While every breaker is open and no probe is under way: admits `member` at once, and no other endpoint
  /// until that attempt or a sleep window has ended.
  std::optional<CircuitBreaker::Attempt> probe_alone(std::size_t member, MonotonicTime now);
  /// False: no endpoint has that name.
  bool set_enabled(std::string_view name, bool enabled);

  /// A request's place at an endpoint, for as long as this lives.
  class Place {
   public:
    /// Nothing when the endpoint has its `max_connections`. Exact, also when several loops take at the same
    /// moment.
    static std::optional<Place> take(EndpointSet& set, std::size_t member) {
      if (!set.members_[member].enter()) return std::nullopt;
      return Place(set, member);
    }
    Place(Place&& other) noexcept : set_(std::exchange(other.set_, nullptr)), member_(other.member_) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(set_, other.set_);
      std::swap(member_, other.member_);
      return *this;
    }
    ~Place() { reset(); }
    void reset() {
      if (EndpointSet* set = std::exchange(set_, nullptr)) set->leave(member_);
    }

   private:
    Place(EndpointSet& set, std::size_t member) : set_(&set), member_(member) {}

    EndpointSet* set_;
    std::size_t member_;
  };

 private:
  void leave(std::size_t member);
  void changed();

  const PoolConfig& config_;
  std::vector<Member> members_;
  std::vector<std::shared_ptr<EndpointRecord>> records_;
  std::atomic<std::uint64_t> version_{1};
  std::mutex probing_;                 // so that two loops do not both find no probe under way
  std::mutex ejecting_;                // so that two loops do not both eject the last endpoint that may be
  std::shared_ptr<WaitingLine> line_;  // shared by all generations, whose requests share the places
};

}  // namespace autoglm::gateway
