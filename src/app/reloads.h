#pragma once

#include "admin/config_routes.h"
#include "app/live_config.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"
#include "runtime/blocking_pool.h"

#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace autoglm::app {

/// Reads the configuration again when a source has changed, and remembers what became of it. All or nothing:
/// a mistake leaves the old one in place. Control loop only.
class Reloads {
 public:
  /// What a configuration that was put in force changed.
  struct Outcome {
    std::vector<std::string> keys;          ///< that differ
    std::vector<std::string> need_restart;  ///< of them, those that only a restart changes
  };
  struct Parts {
    LiveConfig& live;
    /// Puts a configuration in force, or changes nothing.
    std::function<Result<Outcome>(LoadedConfig&)> apply;
    /// After a refusal.
    std::function<void()> refused;
    BlockingPool& files;
    BlockingPool& names;
    observe::MetricRegistry& metrics;
    observe::Logger& log;
  };
  /// All of `parts` outlives it.
  explicit Reloads(Parts parts);

  /// Looks at the sources once a second, and at the center's news at once, for as long as the task lives.
  Task<void> watch();
  /// A change that was announced, by a signal or the operator: two looks at the file show whether it is
  /// complete. Returns the keys that need a restart.
  Task<Result<std::vector<std::string>>> read_when_whole();
  /// For the operator.
  admin::ConfigView view() const;

 private:
  Task<void> look_now_and_then();
  Task<void> follow_center();
  Result<Outcome> reload(const std::string& source, bool by_center);
  Result<Outcome> read_and_apply();
  Task<void> keep_copy();
  void remember(const std::string& source, const Result<Outcome>& outcome);

  const Parts parts_;
  std::deque<admin::ConfigChange> changes_;  // the latest first
  std::vector<std::string> need_restart_;
};

}  // namespace autoglm::app
