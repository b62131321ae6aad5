#pragma once

#include "engine/engine.h"
#include "gateway/front/http/front.h"
#include "gateway/model_directory.h"
#include "gateway/pipeline.h"
#include "gateway/resilience/model_pool.h"
#include "http/server.h"
#include "http/shared_limits.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"
#include "runtime/blocking_pool.h"
#include "runtime/event_loop.h"
#include "runtime/scope.h"
#include "simulated_engine.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::simulation {

/// The gateway as `serve` builds it, with one loop, which runs on the calling thread. In the order of
/// construction; torn down in reverse.
struct Gateway {
  Gateway(gateway::PoolConfig pool_config, Duration request_timeout, const std::string& log_file,
          std::uint16_t port);
  ~Gateway();

  /// Until `loop.stop()`.
  void run() { loop.run(); }
  /// Adds the model "e", in this process.
  void add_engine(Machine& machine, History& history);
  /// Removes the engine from the configuration; its requests end first.
  void retire_engine();
  /// Makes the endpoints of `config`, or each of them with a chance of three in four, the pool's members. Not
  /// on the loop.
  void change_members(const gateway::PoolConfig& config, Random* random = nullptr);

  std::unique_ptr<observe::Logger> log;
  observe::MetricRegistry metrics;
  // Counted, but never refused.
  std::shared_ptr<http::BodyMemory> bodies = std::make_shared<http::BodyMemory>(std::size_t{1} << 40U);
  std::shared_ptr<http::BodyMemory> answers = std::make_shared<http::BodyMemory>(std::size_t{1} << 40U);
  EventLoop loop;
  BlockingPool names{1, 64};
  gateway::HttpClients clients;
  gateway::EndpointRecords records{metrics, "m"};
  std::shared_ptr<gateway::ModelPool> pool;
  BlockingPool preparation{2, 64};
  std::shared_ptr<engine::Engine> own;
  TimedStepper* stepper = nullptr;  ///< of `own`
  TimedChatFormat* chat = nullptr;  ///< of `own`
  gateway::LiveDirectory models;
  gateway::Readiness readiness;
  gateway::Pipeline pipeline{models};
  std::unique_ptr<gateway::HttpFront> front;
  std::unique_ptr<http::Server> server;
  std::optional<Scope> watching;

 private:
  void publish();
  static Task<void> bury(std::shared_ptr<engine::Engine> retired);
  Task<void> sweep();
  const Duration request_timeout_;
};

}  // namespace autoglm::simulation
