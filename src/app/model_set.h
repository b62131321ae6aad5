#pragma once

#include "app/app_config.h"
#include "engine/engine.h"
#include "gateway/endpoint/http_clients.h"
#include "gateway/model_directory.h"
#include "gateway/resilience/model_pool.h"
#include "runtime/worker_pool.h"

#include <filesystem>
#include <memory>
#include <vector>

namespace autoglm::app {

/// Finds the file of each engine's model and gives names to those that have none. Errors: what is wrong with
/// a model's path or name.
Result<void> resolve(std::vector<ModelConfig>& models, const std::filesystem::path& cache);

/// The models of a process: engines in it, pools of servers elsewhere, and what clients call them. Made,
/// stopped and destroyed by the main thread.
class ModelSet {
 public:
  struct Dependencies {
    WorkerPool& workers;  ///< running
    EventLoop& control;   ///< checks the health of servers
    BlockingPool& pool;
    observe::MetricRegistry& metrics;
    observe::Logger& log;
    unsigned compute_threads;  ///< of an engine that does not say
    Duration request_timeout;
  };

  /// Starts loading. `models` is resolved. Errors: the system's certificates cannot be read.
  static Result<std::unique_ptr<ModelSet>> create(std::vector<ModelConfig> models, Dependencies dependencies);
  ~ModelSet();

  const gateway::ModelDirectory& directory() const { return *directory_; }
  std::vector<gateway::ModelPool*> pools() const;
  /// Watches the pools' servers for as long as the task lives; on the control loop.
  Task<void> watch();
  /// Ends connections and engines. No task of a loop uses them any more.
  void stop();

 private:
  explicit ModelSet(Dependencies dependencies) : dependencies_(dependencies) {}
  Result<void> make_clients();
  Endpoint* add_engine(const ModelConfig& model);
  Endpoint* add_pool(const ModelConfig& model);

  Dependencies dependencies_;
  gateway::HttpClients clients_;
  std::vector<std::unique_ptr<engine::Engine>> engines_;
  std::vector<std::unique_ptr<gateway::ModelPool>> pools_;
  std::unique_ptr<gateway::ModelDirectory> directory_;
};

}  // namespace autoglm::app
