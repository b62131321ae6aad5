#pragma once

#include "app/app_config.h"
#include "app/model_loader.h"
#include "app/retired_endpoints.h"
#include "cluster/discovery/discovery.h"
#include "gateway/endpoint/http_clients.h"
#include "gateway/model_directory.h"
#include "gateway/resilience/model_pool.h"
#include "inference/endpoint.h"
#include "inference/group_shares.h"
#include "observe/log/log_config.h"
#include "runtime/scope.h"
#include "runtime/worker_pool.h"

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::app {

/// Finds the file of each engine's model that is a path, and names the models that have no name. Errors: what
/// is wrong with a model's path or name; that it has to be pulled first is no error.
Result<void> resolve(std::vector<ModelConfig>& models, const std::filesystem::path& cache);

/// The models of a process: its engines, its pools of remote servers, and their names for clients, as
/// configured now. Objects that a request uses live until it has ended, and are destroyed on no loop that
/// serves requests. Main thread.
class ModelSet {
 public:
  struct Dependencies {
    WorkerPool& workers;  ///< running
    EventLoop& control;   ///< of the main thread; checks the health of servers
    BlockingPool& pool;   ///< prepares requests
    BlockingPool& names;  ///< looks up names of servers
    observe::MetricRegistry& metrics;
    observe::Logger& log;
    unsigned compute_threads;       ///< at most, for an engine without a number of its own
    observe::LogConfig log_config;  ///< for engines in their own processes
    std::string trace_id;           ///< for these, too
    ModelSources sources;
    std::optional<PrefixKey> prefix_key;  ///< for reports of Open-AutoGLM servers about what they have read
    std::shared_ptr<http::BodyMemory> answer_memory;
    std::shared_ptr<const LiveGroupShares> shares;  ///< of engines
  };

  explicit ModelSet(Dependencies dependencies)
      : dependencies_(std::move(dependencies)), directory_(dependencies_.workers.size()) {}
  ~ModelSet();

  /// Makes these the models, all at once: unchanged models stay, a pool of which only the endpoints differ
  /// gets the new membership, a pool that differs in more is made anew and keeps what is known of its
  /// servers, a new engine starts loading; an engine whose own configuration is the same stays. Keys of
  /// engines wait for a restart, as their descriptor says, since two may not fit into memory; `models` is
  /// resolved, and has such keys as they were. Errors: why nothing was changed.
  Result<void> apply(const std::vector<ModelConfig>& models, Duration request_timeout);

  const gateway::LiveDirectory& directory() const { return directory_; }
  std::vector<std::shared_ptr<gateway::ModelPool>> pools() const;
  /// What finds the servers of that model; null: it has no registry.
  std::shared_ptr<const cluster::Discovery> discovery(const std::string& model) const;
  /// Whether that model's engine runs in a process of its own.
  bool in_own_process(const std::string& name) const;
  /// Watches the pools' servers, and destroys retired models that are no longer used, for as long as the task
  /// lives; on the control loop.
  Task<void> watch();
  /// Ends connections and engines. No task of a loop uses them any more.
  void stop();

 private:
  struct Slot {
    ModelConfig config;
    Duration request_timeout;
    std::shared_ptr<Endpoint> engine;  // either this or `pool`
    std::shared_ptr<gateway::ModelPool> pool;
    std::shared_ptr<cluster::Discovery> discovery =
        nullptr;                             // of the pool's servers; null: they are configured
    std::shared_ptr<Scope> watch = nullptr;  // of both
  };
  using Slots = std::map<std::string, Slot>;
  /// A membership that is to be adopted, once all models are known to be possible.
  struct Change {
    std::shared_ptr<gateway::ModelPool> pool;
    gateway::Roster::Change change;
  };
  using Changes = std::vector<Change>;

  Result<void> make_clients();
  Result<Slot> make(const ModelConfig& model, Duration request_timeout, const Slot* before);
  Result<void> discover(Slot& slot, const Slot* before);
  void refresh_on_loops(const std::weak_ptr<gateway::ModelPool>& pool);
  Result<std::shared_ptr<Endpoint>> make_engine(const ModelConfig& model);
  Result<std::shared_ptr<Endpoint>> make_engine_process(const ModelConfig& model);
  Result<std::shared_ptr<gateway::ModelPool>> make_pool(const ModelConfig& model, Duration request_timeout);
  Result<bool> keep(const Slot& before, const ModelConfig& model, Duration request_timeout, Slots& slots,
                    Changes& changes);
  void adopt(Slots slots, const std::vector<ModelConfig>& order, Changes changes);
  void watch_pools();
  void bury();

  Dependencies dependencies_;
  bool has_clients_ = false;
  bool watching_ = false;
  gateway::HttpClients clients_;
  std::map<std::string, gateway::EndpointRecords> records_;  // of each pool's name
  Slots slots_;
  RetiredEndpoints retired_engines_;
  std::vector<std::shared_ptr<gateway::ModelPool>> retired_pools_;  // perhaps still used by requests
  gateway::LiveDirectory directory_;
};

}  // namespace autoglm::app
