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

/// The endpoints of a pool, what is known of them, and who may be asked. The list is immutable; shared by all
/// loops; no lock on the way of a request that succeeds. Time is handed in.
class EndpointSet {
 public:
  /// `endpoints` and `records` are those of `config.endpoints`, in order; the endpoints outlive this.
  EndpointSet(const PoolConfig& config, const std::vector<Endpoint*>& endpoints,
              std::vector<std::shared_ptr<EndpointRecord>> records,
              std::shared_ptr<WaitingLine> line = nullptr);

  /// What outlives configurations, the line and the breakers, goes by this one's from now on.
  void take_effect();

  std::span<const Member> members() const { return members_; }
  EndpointRecord& record(std::size_t member) const { return *records_[member]; }
  CircuitBreaker& breaker(std::size_t member) const { return records_[member]->breaker; }
  WaitingLine& line() { return *line_; }

  /// What one loop remembers of the whole, so that it need not be asked again at each request. Zero: nothing.
  struct Outlook {
    std::uint64_t version = 0;
    MonotonicTime until;
    bool panic = false;       ///< too few are well for that to decide
    bool any_well = false;    ///< of those that are no backups
    bool any_backup = false;  ///< that is well
  };
  /// Brings `outlook` up to date: O(endpoints), but only when something has changed.
  void look(Outlook& outlook, MonotonicTime now) const;

  /// Whether it is enabled, and well, and not ejected.
  bool available(const Member& member, MonotonicTime now) const {
    const MemberState& state = *member.state;
    return state.enabled.load(std::memory_order_relaxed) && state.health.well() && !state.health.ejected(now);
  }

  /// A check's result; whether what is believed has changed. Control loop.
  bool checked(std::size_t member, cluster::CheckResult result, MonotonicTime now);
  /// The failures that end with this success.
  cluster::EndpointHealth::Failures succeeded(std::size_t member) {
    return members_[member].state->health.succeeded();
  }
  /// Whether this failure left it out. `ended`: by a success that it takes back.
  bool failed(std::size_t member, cluster::EndpointHealth::Failures ended, MonotonicTime now);
  /// While every breaker is open and nobody is a probe: `member` may be asked at once, and nobody else until
  /// that has ended, or a sleep window has.
  std::optional<CircuitBreaker::Attempt> probe_alone(std::size_t member, MonotonicTime now);
  /// False when none has that name.
  bool set_enabled(std::string_view name, bool enabled);

  /// A request on an endpoint, while it lives.
  class Place {
   public:
    /// Nothing when it has its `max_connections`, on however many loops they come at the same moment.
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
  std::mutex probing_;                 // so that two loops do not each find nobody probing
  std::mutex ejecting_;                // so that two loops do not each eject the last one that may be
  std::shared_ptr<WaitingLine> line_;  // of all generations: their requests have the same places
};

}  // namespace autoglm::gateway
