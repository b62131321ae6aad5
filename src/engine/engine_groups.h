#pragma once

#include "engine/engine_metrics.h"
#include "engine/scheduler/scheduler.h"
#include "inference/group_shares.h"

#include <cstdint>
#include <vector>

namespace autoglm::engine {

/// The groups that own shares, as an engine's scheduler knows them, and what is computed for each. Belongs to
/// the engine's thread.
class EngineGroups {
 public:
  /// `shares`: null: there are none.
  EngineGroups(const LiveGroupShares* shares, EngineMetrics& metrics) : shares_(shares), metrics_(metrics) {}

  /// Tells the scheduler of changed shares.
  void follow(Scheduler& scheduler);
  /// Counts a step that was computed.
  void count(const Scheduler::Step& step);

 private:
  const LiveGroupShares* shares_;
  EngineMetrics& metrics_;
  std::uint64_t version_ = 0;
  std::vector<observe::Counter*> tokens_;  // by the scheduler's numbers; empty without shares
};

}  // namespace autoglm::engine
