#pragma once

#include "gateway/endpoint/http_clients.h"
#include "gateway/endpoint/http_endpoint.h"
#include "gateway/resilience/attempt.h"
#include "gateway/resilience/dispatcher.h"
#include "gateway/resilience/pool_config.h"
#include "gateway/resilience/pool_metrics.h"
#include "observe/log/logger.h"
#include "runtime/task.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// Several servers of one model as one endpoint: asks them as its dispatcher decides, waits for places,
/// watches their health, and continues a broken stream on another server that can resume it. Serves all
/// loops; created and destroyed by its owner, on none of them.
class ModelPool final : public Endpoint {
 public:
  struct Dependencies {
    HttpClients& clients;
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
    CircuitBreaker::State breaker;
    ServerKind kind;
    Duration ejected_for;
    const std::optional<Result<void>>& last_check;  ///< none: not checked yet
    bool ours() const { return kind == ServerKind::kOurs; }
  };

  /// `config` has been validated. Errors: a certificate that cannot be read.
  static Result<std::unique_ptr<ModelPool>> create(std::string name, PoolConfig config,
                                                   Dependencies dependencies);
  ~ModelPool() override;

  Task<Result<std::unique_ptr<EventStream>>> generate(InferenceRequestPtr request,
                                                      const CallContext& context) override;
  Task<Result<TokenizeResult>> tokenize(TokenizeRequest request, const CallContext& context) override;
  Task<Result<std::string>> detokenize(std::vector<TokenId> tokens) override;
  bool passes_through() const override { return true; }
  bool judges_bodies() const override { return true; }
  bool passes(std::string_view path) const override;
  ModelCard card() const override;
  EndpointStatus status() const override;
  LoadReport load() const override;

  /// Applies its configuration to what it shares with the pool before it.
  void take_effect() { dispatcher_->endpoints().take_effect(); }
  /// Checks the health of every member for as long as the task lives; on the control loop.
  Task<void> watch();

  const std::string& name() const { return name_; }
  const PoolConfig& config() const { return config_; }
  /// On the control loop.
  std::vector<MemberView> members() const;
  std::size_t waiting() { return dispatcher_->endpoints().line().size(); }
  /// Takes a member out, or back in, by hand. False: no member has that name.
  bool set_enabled(std::string_view member, bool enabled);

 private:
  friend class PooledStream;

  ModelPool(std::string name, PoolConfig config, Dependencies dependencies);
  Result<void> make_endpoints();
  Task<Result<Opened>> open(InferenceRequestPtr request, const CallContext& context, Dispatch& dispatch);
  Task<Result<Opened>> open_at(std::size_t member, InferenceRequestPtr request, CallContext context);
  // Rare: inlined, their frames would be a part of every request's.
  [[gnu::noinline]] Task<Result<Dispatch::Step>> wait_for_place(Dispatch& dispatch, Deadline deadline,
                                                                std::uint64_t& number);
  [[gnu::noinline]] Task<Result<std::unique_ptr<EventStream>>> fall_back(InferenceRequestPtr request,
                                                                         const CallContext& context,
                                                                         Error error);
  Attempt::Limits limits(bool streamed, Deadline whole_due, const CallContext& context);
  std::optional<Duration> hedge_after();
  Task<void> watch_member(std::size_t member, Random random);
  Dispatcher::Loop& loop() { return loops_[EventLoop::current().index()]; }

  const std::string name_;
  const PoolConfig config_;
  Dependencies dependencies_;
  const Duration first_token_timeout_;
  const Duration idle_timeout_;
  const Duration whole_timeout_;
  PoolMetrics metrics_;
  std::vector<std::unique_ptr<HttpEndpoint>> endpoints_;
  std::vector<std::optional<Result<void>>> last_checks_;  // of each; control loop
  LoopClock clock_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::vector<Dispatcher::Loop> loops_;
};

}  // namespace autoglm::gateway
