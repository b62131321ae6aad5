#pragma once

#include "gateway/admission/shared/shared_ledger.h"
#include "observe/metrics/registry.h"
#include "redis/client.h"
#include "runtime/signal.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// What becomes of decisions in Redis. Of a registry; copies are the same metrics.
struct RedisMetrics {
  explicit RedisMetrics(observe::MetricRegistry& registry);

  observe::Gauge& up;
  observe::Counter& late;
  observe::Counter& errors;
  observe::Histogram& seconds;
};

/// A call's takes in Redis. The callbacks of the replies share it, since a reply may come when the call has
/// ended: then what it took is settled as the call has said. Belongs to its loop; the client may be gone
/// before it.
class RedisTake final : public SharedTake, public std::enable_shared_from_this<RedisTake> {
 public:
  /// The registry of `metrics` must outlive the take and the client. Without a client nothing answers.
  RedisTake(std::shared_ptr<redis::Client> client, const RedisMetrics& metrics, Duration timeout,
            const std::string& prefix, std::vector<SharedAsk> asks);

  /// Asks, if Redis is usable. Once, before anything else.
  void begin();

  Task<bool> answered() override;
  const std::vector<RateDecision>& decisions() const override { return decisions_; }
  void settle(std::span<const std::uint64_t> used) override;

 private:
  struct Asked {
    std::string key;
    SharedAsk ask;
    bool is_decided = true;  ///< nothing is awaited: it was not asked for, or the reply is here
    bool is_taken = false;
    std::int64_t born = 0, position = 0;  ///< of the reservation
  };
  using Group = std::vector<std::size_t>;  ///< those that one script takes: all, or of a cluster one slot's

  std::vector<Group> groups(bool is_cluster) const;
  bool is_cluster() const;
  bool ask(redis::Client& client, Group group);
  void note(const Group& group, const Result<redis::Reply>& reply);
  bool read(const Group& group, const redis::Reply& reply);
  void settle_decided(const Group& group);

  std::weak_ptr<redis::Client> client_;
  RedisMetrics metrics_;
  const Duration timeout_;
  const MonotonicTime begun_ = std::chrono::steady_clock::now();
  std::vector<Asked> asked_;
  std::vector<RateDecision> decisions_;
  std::optional<std::vector<std::uint64_t>> used_;  ///< once it is settled
  std::size_t unanswered_ = 0;                      ///< groups
  bool failed_ = false;
  Signal done_;
};

}  // namespace autoglm::gateway
