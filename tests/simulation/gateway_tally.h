#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace autoglm::gateway {

/// The events that a simulation must have seen often enough to be meaningful.
enum class Saw : std::uint8_t {
  kRequest,
  kAnswer,
  kRefusal,  // with any error
  kBreakerOpens,
  kProbe,
  kProbeCloses,
  kProbeReopens,
  kProbeLeaves,  // neither success nor failure
  kLoneProbe,    // while every breaker was open
  kEjection,
  kReturn,
  kPanicPick,
  kBackup,
  kLastResort,  // a member that is not well, since none is
  kWait,
  kWaitTooLong,
  kPause,
  kRetry,
  kBudgetSpent,
  kHedge,
  kHedgeWins,
  kBreak,
  kResume,
  kNoResume,
  kClientLeavesAsking,
  kClientLeavesWaiting,
  kClientLeavesStreaming,
  kDrain,
};
constexpr std::size_t kSights = static_cast<std::size_t>(Saw::kDrain) + 1;
constexpr std::array<std::string_view, kSights> kSightNames = {"requests",
                                                               "answers",
                                                               "refusals",
                                                               "breakers opened",
                                                               "probes",
                                                               "probes closed",
                                                               "probes failed",
                                                               "probes left",
                                                               "probes for want of others",
                                                               "ejections",
                                                               "returns",
                                                               "panic picks",
                                                               "backups",
                                                               "last resorts",
                                                               "waits",
                                                               "waits too long",
                                                               "pauses",
                                                               "retries",
                                                               "budgets spent",
                                                               "hedges",
                                                               "hedges won",
                                                               "broken streams",
                                                               "resumes",
                                                               "not resumed",
                                                               "clients left asking",
                                                               "clients left waiting",
                                                               "clients left streaming",
                                                               "drains"};

class Tally {
 public:
  std::uint64_t& operator[](Saw what) { return counts_[static_cast<std::size_t>(what)]; }
  Tally& operator+=(const Tally& other) {
    for (std::size_t i = 0; i < kSights; ++i) counts_[i] += other.counts_[i];
    return *this;
  }

 private:
  std::array<std::uint64_t, kSights> counts_{};
};

}  // namespace autoglm::gateway
