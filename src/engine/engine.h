#pragma once

#include "engine/backends/backend.h"
#include "engine/engine_config.h"
#include "engine/engine_load.h"
#include "engine/engine_metrics.h"
#include "engine/engine_worker.h"
#include "engine/model_view.h"
#include "engine/preparation.h"
#include "engine/sampling_defaults.h"
#include "engine/token_sampler.h"
#include "inference/endpoint.h"
#include "inference/group_shares.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"
#include "runtime/blocking_pool.h"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace autoglm::engine {

/// A model in this process. Loads in the background (`status` reports the progress), then generates many
/// sequences per step on its own thread. Thread-safe like every Endpoint; its owner creates and destroys it.
/// Must be destroyed after the connections that read its streams, and before the loops: the destructor ends
/// running generations within one step. Jobs on the pool may outlive it; they share its model's texts.
class Engine final : public Endpoint {
 public:
  struct Dependencies {
    BlockingPool& pool;
    observe::MetricRegistry& metrics;
    observe::Logger& log;
    BackendLoader load;
    SamplerFactory samplers;
    std::shared_ptr<const LiveGroupShares> shares = nullptr;  ///< null: no group owns a part
  };

  /// `name` is the model's name to clients; the model card shows `config.path` as its source.
  Engine(std::string name, EngineConfig config, Dependencies dependencies);
  ~Engine() override;

  Task<Result<std::unique_ptr<EventStream>>> generate(InferenceRequestPtr request,
                                                      const CallContext& context) override;
  Task<Result<UnaryAnswer>> call(UnaryRequest request, const CallContext& context) override;
  ModelCard card() const override;
  EndpointStatus status() const override;
  LoadReport load() const override;
  std::shared_ptr<const PrefixSet> prefixes() const override;

 private:
  void run();
  /// The model, once it is loaded.
  Result<std::shared_ptr<const ModelView>> ready() const;
  /// Answers a request for vectors or scores.
  template <class Request>
  Task<Result<std::unique_ptr<EventStream>>> embed(InferenceRequestPtr request, const Request& work,
                                                   const CallContext& context);
  void serve_text(const Backend& backend);
  void serve_embeddings(const Backend& backend);
  /// Prepares a request, on the pool if that may take long.
  Task<Result<Preparation>> prepared(std::shared_ptr<const ModelView> model,
                                     std::shared_ptr<const GenerateRequest> work, const CallContext& context);
  Task<Result<UnaryAnswer>> answer(TokenizeRequest request, const CallContext& context);
  Task<Result<UnaryAnswer>> answer(DetokenizeRequest request, const CallContext& context);
  Task<Result<UnaryAnswer>> answer(TokenizerInfoRequest request, const CallContext& context);
  /// Reserves places for a request's choices. Errors: more choices than may run and wait.
  Result<Places> enter(const GenerateRequest& work, const CallContext& context);
  Result<Places> enter(std::uint32_t count, const CallContext& context);
  std::unique_ptr<EventStream> stream_of(std::shared_ptr<Delivery> delivery, GenerationId id);

  const std::string name_;
  const EngineConfig config_;
  const std::int64_t created_;
  Dependencies dependencies_;
  EngineLoad load_;
  EngineMetrics metrics_;
  std::shared_ptr<EngineInbox> inbox_;
  std::atomic<std::uint64_t> next_generation_{1};

  // Written by the thread before `state_` becomes ready:
  std::shared_ptr<const ModelView> model_;
  std::string tokenizer_info_;
  SamplingDefaults sampling_;
  Duration loaded_in_{0};
  std::atomic<EndpointStatus::State> state_{EndpointStatus::State::kLoading};
  std::atomic<double> progress_{0};
  std::atomic<bool> unwanted_{false};  // set by the destructor, perhaps before the model is loaded
  mutable std::mutex failure_mutex_;
  std::string failure_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace autoglm::engine
