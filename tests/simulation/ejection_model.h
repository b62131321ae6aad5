#pragma once

#include "cluster/health/endpoint_health.h"
#include "cluster/health/health_config.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// A second implementation of docs/gateway.md: which members of a pool are believed to be well, and which are
/// ejected because requests failed. The simulation gives it the same events as the pool, and compares.
class EjectionModel {
 public:
  /// Failures that a success ended.
  struct Streak {
    std::uint32_t in_a_row = 0;
    std::uint32_t in_window = 0;
  };

  EjectionModel(const cluster::EjectionConfig& ejection, const cluster::HealthConfig& health,
                const std::vector<cluster::FailureLimit>& limits);

  Streak succeeds(std::size_t member) { return std::exchange(members_[member].streak, {}); }
  /// `ended`: the streak that was ended by a success which this takes back.
  void fails(std::size_t member, Streak ended, MonotonicTime now);
  /// No connection could be made for a request.
  void finds_nobody(std::size_t member) { members_[member].missed = true; }
  /// Whether the check succeeds again, after a miss.
  bool checked(std::size_t member, bool well, MonotonicTime now);

  bool well(std::size_t member) const { return members_[member].well; }
  bool ejected(std::size_t member, MonotonicTime now) const { return now < members_[member].out_until; }

 private:
  struct MemberState {
    cluster::FailureLimit limit;
    Streak streak;
    MonotonicTime window_began;
    MonotonicTime out_until;
    std::uint32_t times_out = 0;
    bool well = true;
    std::uint32_t contradictions = 0;
    std::uint32_t successes = 0;  // checks in a row
    bool missed = false;          // by a check or a request, since it came back
  };
  void start_afresh(MemberState& state);
  Duration earned(MemberState& state, Streak ended, MonotonicTime now) const;

  cluster::EjectionConfig ejection_;
  cluster::HealthConfig health_;
  std::vector<MemberState> members_;
};

}  // namespace autoglm::gateway
