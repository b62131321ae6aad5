#pragma once

#include "base/random.h"
#include "cluster/registration/registrations.h"
#include "cluster/registries/retry_delay.h"
#include "runtime/signal.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::cluster {

/// One entry in one registry, from the moment that its models are ready until it is told to leave. Control
/// loop only.
class Registrations::Kept {
 public:
  struct Parts {
    std::string name;  ///< of the registry, one of a kind
    const Options& options;
    observe::MetricRegistry& metrics;
    observe::Logger& log;
  };
  Kept(Parts parts, RegisterConfig config, std::unique_ptr<Registrar> registrar);

  /// Once. Ends when it has left, or failed to.
  Task<void> run();
  void change(RegisterConfig config);
  void ask_to_leave();
  /// Ends with `run`.
  Task<Result<void>> gone();
  bool has_left() const { return gone_.is_set(); }

  const RegisterConfig& config() const { return config_; }
  const std::string& name() const { return parts_.name; }
  View view() const;

 private:
  Task<void> look();
  Duration pause() const;
  Task<Result<std::string>> find_host() const;
  Task<void> tell(const std::vector<std::string>& models);
  Task<void> take_back();
  void succeeded(Registration self, Duration lasts, MonotonicTime asked);
  void failed(const Error& error);
  bool is_due(const std::vector<std::string>& models) const;

  const Parts parts_;
  RegisterConfig config_;
  const std::unique_ptr<Registrar> registrar_;
  bool leaving_ = false;
  Signal wake_;
  Signal gone_;
  std::optional<Registration> told_;  // what stands in the registry, as far as we know; nothing: we do not
  std::string host_;                  // found; empty: not yet
  MonotonicTime next_;                // when it is told again
  MonotonicTime lasts_until_;         // how long the registry believes us
  bool changed_ = false;              // the configuration is new since
  std::string trouble_;
  Random random_ = Random::from_entropy();
  RetryDelay delay_;
  observe::Counter& failures_;
  std::atomic<bool> registered_ = false;  // for the gauge, which any thread reads
  std::shared_ptr<void> gauge_;           // last: it reads the above
};

}  // namespace autoglm::cluster
