#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "gateway/resilience/ask.h"
#include "gateway/resilience/endpoint_set.h"
#include "gateway/resilience/latency_quantile.h"
#include "gateway/resilience/pool_config.h"
#include "gateway/resilience/pool_metrics.h"
#include "gateway/resilience/retry_budget.h"
#include "gateway/routing/balancer.h"
#include "observe/log/logger.h"

#include <boost/container/small_vector.hpp>

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace autoglm::gateway {

/// The state by which all requests of a pool are decided: its endpoints, their health, the retry budget.
/// Synchronous, with the time as an argument, so that simulations drive it as the pool does. Shared by all
/// loops; must outlive its dispatches.
class Dispatcher {
 public:
  /// The part of the state that belongs to one loop.
  struct Loop {
    std::unique_ptr<Balancer> balancer;
    Random random;
    EndpointSet::Outlook outlook = {};
    LatencyQuantile first_tokens = {};
  };

  /// What a dispatcher uses; must outlive it.
  struct Surroundings {
    const PoolConfig& config;
    PoolMetrics& metrics;
    const Clock& clock;              ///< for verdicts given by destructors, which get no time
    observe::Logger* log = nullptr;  ///< gets a line for each failed attempt; null: none
  };
  Dispatcher(std::string name, const Surroundings& surroundings, std::shared_ptr<WaitingLine> line = nullptr);

  EndpointSet& endpoints() { return endpoints_; }
  const EndpointSet& endpoints() const { return endpoints_; }
  RetryBudget& budget() { return budget_; }

 private:
  friend class Dispatch;
  const std::string name_;
  const PoolConfig& config_;
  PoolMetrics& metrics_;
  const Clock& clock_;
  observe::Logger* const log_;
  EndpointSet endpoints_;
  RetryBudget budget_;
};

/// One request's way through the endpoints of a pool: which to ask, when to ask another, when to give up.
/// Belongs to a loop.
class Dispatch {
 public:
  /// Every endpoint that could be asked is full: wait for a place, then call `next` again.
  struct Full {};
  /// Every endpoint has been asked; from `until` on they may be asked again.
  struct Pause {
    MonotonicTime until;
  };
  using Step = std::variant<Ask, Full, Pause, Error>;

  /// `request` must outlive this.
  Dispatch(Dispatcher& dispatcher, Dispatcher::Loop& loop, const InferenceRequest& request);
  Dispatch(const Dispatch&) = delete;
  Dispatch& operator=(const Dispatch&) = delete;

  /// What to do now. An error is final, and for the client.
  Step next(MonotonicTime now);
  /// A second endpoint to ask while the first is silent; nothing when no endpoint or no budget is left.
  std::optional<Ask> hedge(MonotonicTime now);
  void hedge_won() { dispatcher_.metrics_.hedges_won.add(); }
  /// The first events of `ask` arrived.
  void succeeded(Ask& ask, MonotonicTime now);
  /// `ask` ended before its first events.
  void failed(Ask ask, const Error& error, MonotonicTime now);
  /// The other endpoint of a hedge began first. `ask` has failed if it was silent for `patience`, within
  /// which most endpoints begin: a single loss proves nothing, but an endpoint that nearly always loses is as
  /// slow as one that hangs.
  void outpaced(Ask ask, Duration patience, MonotonicTime now);
  /// The stream broke after its first token. The rest of the answer is other work and gets `max_attempts`
  /// attempts anew, unless the stream has delivered nothing (not `got_on`). An answer that breaks soon after
  /// its beginning for more than `max_attempts` times is given up: it may be what kills the servers. When the
  /// request is to blame, no endpoint has failed and none is asked.
  void broke(Ask ask, const Error& error, bool got_on, MonotonicTime now);
  /// From now on, asks only endpoints that can continue `request` in this way. `request` must live as long as
  /// that.
  void require(Continuation continuation, const InferenceRequest& request);

  /// `error` for the client: an endpoint's failure names the model, which is all that the client knows.
  Error told(Error error) const;

  /// Endpoints asked so far.
  std::uint32_t attempts() const { return attempts_; }
  EndpointSet& endpoints() { return dispatcher_.endpoints_; }

 private:
  friend class gateway::Ask;
  /// What this loop has last seen; of requests that have asked, never null.
  const MemberList& list() const { return *loop_.outlook.list; }
  MonotonicTime now() const { return dispatcher_.clock_.now(); }
  void tell(const Ask& ask, const Error& error);
  std::optional<std::size_t> pick(MonotonicTime now, bool& full);
  std::optional<Ask> take(std::size_t slot, MonotonicTime now);
  bool has_budget();
  bool may_ask(std::size_t slot, MonotonicTime now, bool& full) const;
  bool may_take(std::size_t slot, bool& full) const;
  // Rare: inlined, its frame would be a part of every request's.
  [[gnu::noinline]] std::optional<Ask> probe(MonotonicTime now);
  Step again_or_nobody(MonotonicTime now);
  Error nobody_left();

  Dispatcher& dispatcher_;
  Dispatcher::Loop& loop_;
  RetryBudget::Token active_;
  RetryBudget::Token retry_;
  std::vector<std::uint64_t> prefix_;
  boost::container::small_vector<MemberId, 4> tried_;
  std::uint32_t attempts_ = 0;
  std::uint32_t attempts_allowed_;
  std::uint32_t rounds_ = 0;
  std::uint32_t early_breaks_ = 0;
  std::optional<Error> last_;
  bool replaces_ = false;  // the next attempt replaces lost work: outside the retry budget
  bool replaced_ = false;  // a lost attempt has been replaced, as happens once a request
  bool again_ = false;     // an endpoint that was tried may do better if asked again
  Duration not_before_ = Duration::zero();
  bool streamed_;
  const InferenceRequest& request_;
  Continuation required_ = Continuation::kNone;
  const InferenceRequest* rest_ = nullptr;  // the request to continue; set with `required_`
};

}  // namespace autoglm::gateway
