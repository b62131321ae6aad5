#pragma once

#include "base/clock.h"
#include "cluster/discovery/discover_config.h"
#include "cluster/discovery/member_guard.h"
#include "cluster/membership/membership.h"
#include "cluster/registries/registry.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"
#include "runtime/deadline.h"
#include "runtime/signal.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace autoglm::cluster {

/// Keeps a model's pool at the servers that its configuration and its registries name together: those of
/// the configuration first, then each registry's in the order of `discover`; of several with one address the
/// first counts. What a registry said last stays in force while it cannot be asked. Control loop only.
class Discovery {
 public:
  /// Changes are handed over at most this often, all that came meanwhile together; less often where it costs
  /// much.
  static constexpr Duration kBetweenChanges = std::chrono::milliseconds(50);

  struct Options {
    std::string model;
    std::vector<EndpointSpec> fixed;  ///< `models[].endpoints`
    /// The URLs of the pool's endpoints that our own checks find well.
    std::function<std::unordered_set<std::string>()> well;
    /// After each change that was handed over.
    std::function<void()> changed = [] {};
    /// When each registry has said something for the first time, be it that there is nobody.
    std::function<void()> answered = [] {};
  };
  /// A registry, and what is made of its instances.
  struct Source {
    DiscoverConfig config;
    std::unique_ptr<Registry> registry;
  };
  /// What the operator sees of a source.
  struct SourceView {
    const std::string& name;
    bool answered;               ///< ever
    const std::string& trouble;  ///< why it could not be asked last; empty: it could
    std::size_t instances;       ///< that it lists
    std::size_t members;         ///< of the pool, held ones included
    std::size_t held;
    std::size_t skipped;  ///< instances that do not count: unhealthy, filtered, or no endpoint
  };

  /// `sink`, `metrics` and `log` outlive it.
  Discovery(Options options, std::vector<Source> sources, MembershipSink& sink,
            observe::MetricRegistry& metrics, observe::Logger& log);
  ~Discovery();

  /// Follows the registries for as long as the task lives. Called once.
  Task<void> run();
  /// The configuration's own servers change.
  void set_fixed(std::vector<EndpointSpec> fixed);
  /// Takes over what `before` knows from the registries that are also asked here, whatever else is configured
  /// of them now. Before `run`.
  void inherit(const Discovery& before);
  /// What it would hand over now; of `fixed` in the place of the configuration's servers.
  Membership membership() const { return merged(fixed_); }
  Membership membership_with(std::vector<EndpointSpec> fixed) const;

  std::vector<SourceView> sources() const;
  /// Where an endpoint of the pool is from.
  struct Origin {
    std::string_view source;  ///< a registry's name; "configuration" for those of the file
    bool held = false;
  };
  /// By URL; valid until the next change.
  std::unordered_map<std::string_view, Origin> origins() const;
  /// Whether each registry has answered, or failed, once.
  bool settled() const;
  /// Whether each registry has answered once.
  bool has_answers() const;

 private:
  class Followed;

  Task<void> hand_over_changes();
  Deadline due() const;
  bool hand_over();
  void tell();
  Membership merged(const std::vector<MemberGuard::Spec>& fixed) const;

  Options options_;
  std::vector<MemberGuard::Spec> fixed_;
  MembershipSink& sink_;
  observe::Logger& log_;
  std::vector<std::unique_ptr<Followed>> followed_;
  Membership last_;
  Signal dirty_;
  struct {
    std::size_t changes = 0, came = 0, left = 0;
  } untold_;              // changes since the last line of the log
  MonotonicTime told_{};  // when that was written
  observe::Counter& changes_;
  bool told_answers_ = false;
};

}  // namespace autoglm::cluster
