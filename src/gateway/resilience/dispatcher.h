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

/// What all requests to a pool decide by: who is there, who is well, what the budget allows. Synchronous, and
/// time is handed in, so that simulations drive it as the pool does. Shared by all loops; outlives its
/// dispatches.
class Dispatcher {
 public:
  /// What one loop has to itself.
  struct Loop {
    std::unique_ptr<Balancer> balancer;
    Random random;
    EndpointSet::Outlook outlook = {};
    LatencyQuantile first_tokens = {};
  };

  /// What it is made of; all of it outlives this.
  struct Surroundings {
    const PoolConfig& config;
    PoolMetrics& metrics;
    const Clock& clock;              ///< for verdicts on what is destroyed, which nobody hands a time
    observe::Logger* log = nullptr;  ///< hears of each failed attempt
  };
  Dispatcher(std::string name, const Surroundings& surroundings, const std::vector<Endpoint*>& endpoints,
             std::vector<std::shared_ptr<EndpointRecord>> records,
             std::shared_ptr<WaitingLine> line = nullptr);

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

/// One request's way through the endpoints of a pool: whom to ask, when to ask another, when to give up.
/// Belongs to a loop.
class Dispatch {
 public:
  /// Everybody who could be asked has all it takes: wait for a place, then ask on.
  struct Full {};
  /// Everybody has been asked; the same may be, then.
  struct Pause {
    MonotonicTime until;
  };
  using Step = std::variant<Ask, Full, Pause, Error>;

  /// `request` outlives this.
  Dispatch(Dispatcher& dispatcher, Dispatcher::Loop& loop, const InferenceRequest& request);
  Dispatch(const Dispatch&) = delete;
  Dispatch& operator=(const Dispatch&) = delete;

  /// What to do now. An error is the last word, for the client.
  Step next(MonotonicTime now);
  /// One more endpoint beside the one that is being asked; nothing when there is none, or no budget.
  std::optional<Ask> hedge(MonotonicTime now);
  void hedge_won() { dispatcher_.metrics_.hedges_won.add(); }
  /// The first token came.
  void succeeded(Ask& ask, MonotonicTime now);
  /// It did not.
  void failed(Ask ask, const Error& error, MonotonicTime now);
  /// Another one began to answer first. It has failed if it was silent for `patience`, in which most begin;
  /// a single loss proves nothing, but who loses nearly always is as slow as one that hangs.
  void outpaced(Ask ask, Duration patience, MonotonicTime now);
  /// The stream broke behind its first token. What comes now is an attempt at something else, the rest of the
  /// answer; unless it had not `got_on` at all, or breaks soon for the `max_attempts`th time: one that begins
  /// and breaks would be asked for ever, and an answer that kills whoever goes on with it would kill all.
  /// Nothing comes, and nobody has failed, when the request is to blame.
  void broke(Ask ask, const Error& error, bool got_on, MonotonicTime now);
  /// What they must be able to do.
  void require(Continuation continuation, const InferenceRequest& request);

  /// An endpoint's failure as the client hears it: with the model's name, which is all it knows.
  Error told(Error error) const;

  /// Endpoints asked so far.
  std::uint32_t attempts() const { return attempts_; }
  EndpointSet& endpoints() { return dispatcher_.endpoints_; }

 private:
  friend class gateway::Ask;
  MonotonicTime now() const { return dispatcher_.clock_.now(); }
  void tell(const Ask& ask, const Error& error);
  std::optional<std::size_t> pick(MonotonicTime now, bool& full);
  std::optional<Ask> take(std::size_t member, MonotonicTime now);
  bool has_budget();
  bool may_ask(std::size_t member, MonotonicTime now, bool& full) const;
  bool may_take(std::size_t member, bool& full) const;
  // Rare: inlined, its frame would be a part of every request's.
  [[gnu::noinline]] std::optional<Ask> probe(MonotonicTime now);
  Step again_or_nobody(MonotonicTime now);
  Error nobody_left();

  Dispatcher& dispatcher_;
  Dispatcher::Loop& loop_;
  RetryBudget::Token active_;
  RetryBudget::Token retry_;
  std::vector<std::uint64_t> prefix_;
  boost::container::small_vector<std::size_t, 4> tried_;
  std::uint32_t attempts_ = 0;
  std::uint32_t attempts_allowed_;
  std::uint32_t rounds_ = 0;
  std::uint32_t early_breaks_ = 0;
  std::optional<Error> last_;
  bool replaces_ = false;  // the next attempt, work that was lost: no retry of the budget's
  bool replaced_ = false;  // an attempt whose connection failed
  bool again_ = false;     // one of the tried may do better if asked again
  Duration not_before_ = Duration::zero();
  bool streamed_;
  const InferenceRequest& request_;
  Continuation required_ = Continuation::kNone;
  const InferenceRequest* rest_ = nullptr;  // what is to be gone on with; while `required_`
};

}  // namespace autoglm::gateway
