#pragma once

#include "inference/events.h"
#include "observe/metrics/registry.h"

#include <memory>
#include <string>
#include <vector>

namespace autoglm::engine {

class EngineLoad;

/// The engine's metrics under vLLM's names, so that dashboards and routers made for vLLM work unchanged.
/// Thread-safe.
class EngineMetrics {
 public:
  /// `load` must outlive this object.
  EngineMetrics(observe::MetricRegistry& registry, const std::string& model_name, const EngineLoad& load);

  /// Of the tokens computed for a group; empty: for all others.
  observe::Counter& group_tokens(const std::string& group);

  observe::Counter& prompt_tokens;
  observe::Counter& generation_tokens;
  observe::Counter& preemptions;
  observe::Counter& restored_tokens;       ///< tokens restored after preemptions, not recomputed
  observe::Counter& reloaded_tokens;       ///< prefix tokens reloaded after spilling
  observe::Counter& prefix_cache_queries;  ///< prompt tokens looked up
  observe::Counter& prefix_cache_hits;     ///< prompt tokens looked up and found
  observe::Counter& stopped;               ///< vllm:request_success_total{finished_reason="stop"}
  observe::Counter& length;
  observe::Counter& aborted;
  observe::Counter& failed;
  observe::Histogram& queue_time;
  observe::Histogram& time_to_first_token;
  observe::Histogram& inter_token_latency;
  observe::Histogram& request_latency;
  observe::Histogram& step_time;

 private:
  observe::MetricRegistry& registry_;
  std::string model_;
  std::vector<std::shared_ptr<void>> gauges_;
};

}  // namespace autoglm::engine
