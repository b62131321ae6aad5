#pragma once

#include "base/random.h"
#include "cluster/registration/registrations.h"
#include "cluster/registries/retry_delay.h"
#include "cluster/registries/trouble_pace.h"
#include "runtime/signal.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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

  /// Once. Ends when it has left, however often that must be tried, or has given up.
  Task<void> run();
  void change(RegisterConfig config);
  /// What it is asking the registry is dropped soon. Said again, the next try is at once.
  void ask_to_leave();
  /// Behind `ask_to_leave`: another one writes the entry by now.
  void give_up();
  /// What it wrote may be gone: it looks at once.
  void look_again();
  /// Ends with `run`.
  Task<Result<void>> gone();
  bool has_left() const { return gone_.is_set(); }
  /// Whether it could not leave when it was tried last.
  bool fails_to_leave() const { return leave_.is_set() && !trouble_.empty(); }
  bool is_registered() const { return registered_ && std::chrono::steady_clock::now() < lasts_until_.load(); }

  const RegisterConfig& config() const { return config_; }
  const std::string& name() const { return parts_.name; }
  View view() const;

 private:
  Task<void> look();
  Duration pause() const;
  Task<Result<std::string>> find_host() const;
  Task<void> tell(const std::vector<std::string>& models);
  Task<bool> take_back();
  Task<void> leave_in_a_hurry();
  Task<void> depart();
  void succeeded(Registration self, Duration lasts, MonotonicTime asked);
  void failed(const Error& error, std::string_view what);
  bool is_due(const std::vector<std::string>& models) const;

  const Parts parts_;
  RegisterConfig config_;
  const std::unique_ptr<Registrar> registrar_;
  Signal wake_;
  Signal leave_;  // never cleared
  bool given_up_ = false;
  Signal gone_;
  std::optional<Registration> told_;  // what may stand in the registry; nothing: we do not
  std::string host_;                  // found; empty: not yet
  MonotonicTime next_;                // when it is told again
  bool changed_ = false;              // the configuration is new since
  bool unready_ = false;              // the models are, so nobody is told
  std::string trouble_;
  TroublePace complaints_;
  Random random_ = Random::from_entropy();
  RetryDelay delay_;
  observe::Counter& failures_;
  // For the gauge, which any thread reads: what the registry said last, and how long it believes that.
  std::atomic<bool> registered_ = false;
  std::atomic<MonotonicTime> lasts_until_ = MonotonicTime();
  std::shared_ptr<void> gauge_;  // last: it reads the above
};

}  // namespace autoglm::cluster
