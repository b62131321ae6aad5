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
    /// The configuration with which the process runs: the live one, but for keys that need a restart.
    const AppConfig& running;
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
  /// Whose change is read.
  enum class By { kFile, kCenter };

  Task<void> look_now_and_then();
  Task<void> follow_center();
  void tell_of_the_start();
  void retry_center();
  Result<Outcome> reload(By by);
  Result<Outcome> try_all();
  Result<Outcome> told(By by, Result<Outcome> outcome);
  void remember(By by, const std::string& text, const Result<Outcome>& outcome);

  const Parts parts_;
  std::deque<admin::ConfigChange> changes_;  // the latest first
  std::vector<std::string> need_restart_;
};

}  // namespace autoglm::app
