#pragma once

#include "cluster/health/health_watch.h"
#include "cluster/membership/membership.h"
#include "gateway/endpoint/endpoint_factory.h"
#include "gateway/resilience/dispatcher.h"
#include "gateway/resilience/opening.h"
#include "gateway/resilience/pool_config.h"
#include "gateway/resilience/pool_metrics.h"
#include "gateway/resilience/roster.h"
#include "http/shared_limits.h"
#include "observe/log/logger.h"
#include "runtime/task.h"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace autoglm::gateway {

/// Several endpoints of one model as one endpoint: asks them as its dispatcher decides, waits for places, and
/// continues a broken stream on another endpoint that can resume it. Its members are those of the membership
/// that was applied last; what stays is not disturbed, and a member that left goes on with its answers.
/// Serves all loops; created and destroyed by its owner, on none of them.
class ModelPool final : public Endpoint, public cluster::MembershipSink {
 public:
  struct Dependencies {
    std::unique_ptr<EndpointFactory> factory;  ///< of its members
    http::BodyMemory* answer_memory;           ///< for what is kept to resume from; null: without bound
    observe::MetricRegistry& metrics;
    observe::Logger& log;
    BalancerFactory balancer;
    EndpointRecords& records;  ///< what was known of its endpoints before
    std::size_t loops;         ///< that call `generate`
    Duration request_timeout;  ///< for `timeouts` that are unset
    /// Finds the endpoint of a fallback's name, as configured now.
    std::function<std::shared_ptr<Endpoint>(const std::string&)> find_model;
  };
  /// What the operator sees of a member.
  struct MemberView {
    const Member& member;
    const cluster::EndpointSpec& spec;
    CircuitBreaker::State breaker;
    ServerKind kind;
    Duration ejected_for;
    std::optional<Result<void>> last_check;  ///< none: not checked yet
    bool ours() const { return kind == ServerKind::kOurs; }
  };

  /// `config` has been validated; its endpoints are the first membership. Errors: a certificate that cannot
  /// be read.
  static Result<std::unique_ptr<ModelPool>> create(std::string name, PoolConfig config,
                                                   Dependencies dependencies);
  ~ModelPool() override;

  Task<Result<std::unique_ptr<EventStream>>> generate(InferenceRequestPtr request,
                                                      const CallContext& context) override;
  Task<Result<UnaryAnswer>> call(UnaryRequest request, const CallContext& context) override;
  bool passes_through() const override { return true; }
  bool judges_bodies() const override;
  bool passes(std::string_view path) const override;
  ModelCard card() const override;
  EndpointStatus status() const override;
  LoadReport load() const override;

  /// Applies its configuration to what it shares with the pool before it.
  void take_effect() {
    dispatcher_.endpoints().take_effect();
    dependencies_.records.keep_for(memory_of(config_));
  }
  /// Checks the health of every member for as long as the task lives; on the control loop.
  Task<void> watch() { return watch_.run(); }

  /// `prepare` and `adopt` in one.
  Result<void> apply(const cluster::Membership& membership) override;
  /// The change that leads to `membership`; changes nothing. Control loop, as the two below.
  Result<Roster::Change> prepare(const cluster::Membership& membership) {
    return roster_.prepare(membership);
  }
  /// Makes a change that was prepared from the present members. Requests see it from their next look on.
  void adopt(Roster::Change change);
  /// Forgets the members that left and have no answer under way, nor a loop that has not looked since.
  void sweep();
  /// On each loop, after a change, so that one without requests does not keep what has left.
  void refresh() { dispatcher_.endpoints().look(loop().outlook, loop_time()); }

  const std::string& name() const { return name_; }
  /// Without its endpoints: see `members`.
  const PoolConfig& config() const { return config_; }
  /// The URLs, as in the membership, of the members that checks find well. On the control loop.
  std::unordered_set<std::string> well() const;
  /// On the control loop; valid until the next change.
  std::vector<MemberView> members() const;
  const cluster::HealthWatch& health_watch() const { return watch_; }
  std::size_t waiting() { return dispatcher_.endpoints().line().size(); }
  /// Takes a member out, or back in, by hand. False: no member has that name.
  bool set_enabled(std::string_view member, bool enabled);
  /// While it awaits members and has none, it says that it is loading: nobody knows yet whether there are
  /// any. Thread-safe.
  void await_members(bool awaits) { awaits_members_.store(awaits, std::memory_order_relaxed); }

 private:
  friend class PooledStream;

  ModelPool(std::string name, PoolConfig config, Dependencies dependencies);
  Task<Result<Opened>> open(InferenceRequestPtr request, const CallContext& context, Dispatch& dispatch);
  Task<Result<Opened>> open_at(const PoolMember& member, InferenceRequestPtr request, CallContext context);
  // Rare: inlined, their frames would be a part of every request's.
  [[gnu::noinline]] Task<Result<Dispatch::Step>> wait_for_place(Dispatch& dispatch, Deadline deadline,
                                                                std::uint64_t& number);
  [[gnu::noinline]] Task<Result<std::unique_ptr<EventStream>>> fall_back(InferenceRequestPtr request,
                                                                         const CallContext& context,
                                                                         Error error);
  Opening::Limits limits(bool streamed, Deadline whole_due, const CallContext& context);
  std::optional<Duration> hedge_after();
  void begin_checks(const PoolMember& member, Duration delay);
  Dispatcher::Loop& loop() { return loops_[EventLoop::current().index()]; }

  const std::string name_;
  const PoolConfig config_;
  Dependencies dependencies_;
  const Duration first_token_timeout_;
  const Duration idle_timeout_;
  const Duration whole_timeout_;
  PoolMetrics metrics_;
  LoopClock clock_;
  Roster roster_;
  cluster::HealthWatch watch_;
  Dispatcher dispatcher_;
  std::vector<Dispatcher::Loop> loops_;
  std::atomic<bool> awaits_members_{false};
  std::vector<std::shared_ptr<const void>> retired_;  // lists and members, perhaps still used by loops
};

/// What a pool's configuration says of its servers.
HttpEndpointSettings endpoint_settings(const PoolConfig& config);

}  // namespace autoglm::gateway
