#pragma once

#include "base/clock.h"
#include "base/error.h"

#include <chrono>
#include <set>
#include <string>
#include <utility>

namespace autoglm::cluster {

/// Which failures of a registry are worth a line of the log: the first of each kind, and one a minute while
/// the trouble lasts. The address does not make a kind: of two members that are down each attempt meets
/// another one. Not thread-safe.
class TroublePace {
 public:
  static constexpr Duration kReminder = std::chrono::minutes(1);

  /// Once with each failure.
  bool is_news(const Error& error, MonotonicTime now) {
    const bool is_new = kinds_.emplace(error.code, error.reason).second;
    if (!is_new && now < reminded_ + kReminder) return false;
    reminded_ = now;
    return true;
  }
  /// After a success.
  void end() { kinds_.clear(); }

 private:
  std::set<std::pair<ErrorCode, std::string>> kinds_;  // since the trouble began
  MonotonicTime reminded_;
};

}  // namespace autoglm::cluster
