#pragma once

#include "gateway/admission/shared/redis_take.h"
#include "gateway/admission/shared/shared_ledger.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"
#include "redis/client.h"
#include "redis/redis_config.h"
#include "runtime/blocking_pool.h"
#include "runtime/worker_pool.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// Counts limits in Redis, by one script a decision and the server's clock. Each loop has a connection of its
/// own. A call on a thread that is none of these loops is not counted here.
class RedisLedger final : public SharedLedger {
 public:
  struct Dependencies {
    WorkerPool& workers;
    BlockingPool& names;
    observe::MetricRegistry& metrics;
    observe::Logger& log;
  };

  /// Begins to connect on every loop. From the control thread; all `dependencies` outlive the ledger. Errors:
  /// files of `config.tls`.
  static Result<std::shared_ptr<RedisLedger>> start(const redis::RedisConfig& config,
                                                    const Dependencies& dependencies);
  /// Ends the connections: takes are told that there is no answer. From the control thread, while the loops
  /// run, before the last reference goes.
  void stop();

  std::shared_ptr<SharedTake> take(std::vector<SharedAsk> asks) override;
  std::uint32_t replicas() const override { return config_.replicas; }
  const redis::RedisConfig& config() const { return config_; }

 private:
  /// One loop's connection, used by that loop only.
  struct Connected {
    Connected(BlockingPool& names, std::shared_ptr<const redis::Options> its_options, redis::Node::Told told)
        : options(std::move(its_options)), client(names, *options, std::move(told)) {}
    std::shared_ptr<const redis::Options> options;
    redis::Client client;
  };

  RedisLedger(const redis::RedisConfig& config, const Dependencies& dependencies);
  void note(std::size_t loop, bool is_up, std::string_view why);

  const redis::RedisConfig config_;
  WorkerPool& workers_;
  observe::Logger& log_;
  RedisMetrics metrics_;
  std::vector<std::shared_ptr<Connected>> of_loop_;

  std::mutex mutex_;  // of what follows, which changes when a server comes or goes
  std::vector<std::optional<bool>> is_up_;
  std::optional<bool> said_up_;
};

}  // namespace autoglm::gateway
