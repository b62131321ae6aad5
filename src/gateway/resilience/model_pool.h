#pragma once

#include "base/random.h"
#include "gateway/endpoint/http_clients.h"
#include "gateway/endpoint/http_endpoint.h"
#include "gateway/resilience/circuit_breaker.h"
#include "gateway/resilience/pool_config.h"
#include "gateway/resilience/pool_metrics.h"
#include "gateway/resilience/retry_budget.h"
#include "gateway/routing/balancer.h"
#include "observe/log/logger.h"
#include "runtime/task.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// A model that several servers answer for, as one endpoint: chooses among them, watches their health, leaves
/// failing ones alone, asks others when one fails, and goes on with a stream that broke on another that can
/// resume it. The only place that knows retries exist. Serves all loops; created and destroyed by its owner,
/// outside of them.
class ModelPool final : public Endpoint {
 public:
  struct Dependencies {
    HttpClients& clients;
    observe::MetricRegistry& metrics;
    observe::Logger& log;
    BalancerFactory balancer;
    std::size_t loops;         ///< that call `generate`
    Duration request_timeout;  ///< of `timeouts` that are unset
    /// Finds the endpoint of a fallback's name.
    std::function<Endpoint*(const std::string&)> find_model;
  };
  /// What the operator sees of a member.
  struct MemberView {
    const Member& member;
    CircuitBreaker::State breaker;
    bool resumes;
  };

  /// `config` has been validated.
  ModelPool(std::string name, PoolConfig config, Dependencies dependencies);
  ~ModelPool() override;

  Task<Result<std::unique_ptr<EventStream>>> generate(InferenceRequestPtr request,
                                                      const CallContext& context) override;
  Task<Result<TokenizeResult>> tokenize(TokenizeRequest request) override;
  Task<Result<std::string>> detokenize(std::vector<TokenId> tokens) override;
  bool passes_through() const override { return true; }
  ModelCard card() const override;
  EndpointStatus status() const override;
  LoadReport load() const override;

  /// Checks the health of every member for as long as the task lives; on the control loop.
  Task<void> watch();

  const std::string& name() const { return name_; }
  const PoolConfig& config() const { return config_; }
  std::vector<MemberView> members() const;
  /// Takes a member out, or back in, by hand; false when none has that name.
  bool set_enabled(std::string_view member, bool enabled);

 private:
  friend class PooledStream;

  /// A member's answer that has begun.
  struct Opened {
    std::size_t member;
    std::unique_ptr<EventStream> stream;
    EventBatch first;
    InFlight in_flight;
  };
  /// What a request has tried so far.
  struct Attempts {
    std::vector<bool> tried;
    std::uint32_t count = 0;
    bool resuming = false;  ///< only who can resume will do
    RetryBudget::Token retry;
  };

  Task<Result<Opened>> open(InferenceRequestPtr request, const CallContext& context, Attempts& attempts);
  Task<Result<Opened>> open_at(std::size_t member, InferenceRequestPtr request, CallContext context);
  Task<Result<std::unique_ptr<EventStream>>> fall_back(InferenceRequestPtr request,
                                                       const CallContext& context, Error error);
  std::optional<std::size_t> pick(const Attempts& attempts, const InferenceRequest& request,
                                  MonotonicTime now);
  bool settle(std::size_t member, CircuitBreaker::Attempt attempt, const Error& error, MonotonicTime now);
  bool resumes(std::size_t member) const { return endpoints_[member]->resumes(); }
  Error nobody_left(MonotonicTime now, std::optional<Error> last) const;
  Task<void> watch_member(std::size_t member, Random random);

  const std::string name_;
  const PoolConfig config_;
  Dependencies dependencies_;
  std::vector<std::unique_ptr<HttpEndpoint>> endpoints_;
  std::vector<std::unique_ptr<Member>> members_;           // of each endpoint
  std::vector<std::unique_ptr<CircuitBreaker>> breakers_;  // likewise
  std::vector<std::unique_ptr<Balancer>> balancers_;       // of each loop
  const Duration first_token_timeout_;
  const Duration idle_timeout_;
  RetryBudget budget_;
  PoolMetrics metrics_;  // last: it reads the above
};

}  // namespace autoglm::gateway
