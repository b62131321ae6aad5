#include "engine/engine_metrics.h"

#include "engine/engine_load.h"

#include <array>

namespace autoglm::engine {

namespace {

using observe::Labels;
using observe::MetricRegistry;

// vLLM's buckets (vllm/v1/metrics/loggers.py), so that quantiles over a mixed fleet can be computed.
constexpr std::array kFirstToken = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,  0.25,  0.5,   0.75,
                                    1.0,   2.5,   5.0,  7.5,  10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0};
constexpr std::array kInterToken = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,  0.3,  0.4, 0.5,
                                    0.75, 1.0,   2.5,  5.0,   7.5, 10.0, 20.0, 40.0, 80.0};
constexpr std::array kRequest = {0.3,  0.5,  0.8,  1.0,  1.5,   2.0,   2.5,   5.0,   10.0,   15.0,  20.0,
                                 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0};
constexpr std::array kStep = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5};

observe::Counter& finished(MetricRegistry& registry, const std::string& model, const char* reason) {
  return registry.counter("vllm:request_success_total", "Requests that ended, by reason.",
                          {{"model_name", model}, {"finished_reason", reason}});
}

}  // namespace

EngineMetrics::EngineMetrics(MetricRegistry& registry, const std::string& model, const EngineLoad& load)
    : prompt_tokens(registry.counter("vllm:prompt_tokens_total", "Prompt tokens of requests.",
                                     {{"model_name", model}})),
      generation_tokens(
          registry.counter("vllm:generation_tokens_total", "Tokens generated.", {{"model_name", model}})),
      preemptions(registry.counter("vllm:num_preemptions_total",
                                   "Sequences sent back to the queue by a full cache.",
                                   {{"model_name", model}})),
      restored_tokens(registry.counter(
          "autoglm_engine_restored_tokens_total",
          "Tokens of preempted sequences that were restored, not computed again.", {{"model_name", model}})),
      reloaded_tokens(registry.counter("autoglm_engine_reloaded_tokens_total",
                                       "Prompt tokens that were found among spilled prefixes; "
                                       "vllm:prefix_cache_hits_total counts them, too.",
                                       {{"model_name", model}})),
      prefix_cache_queries(registry.counter("vllm:prefix_cache_queries_total",
                                            "Prompt tokens that were looked up among computed prefixes.",
                                            {{"model_name", model}})),
      prefix_cache_hits(registry.counter("vllm:prefix_cache_hits_total",
                                         "Prompt tokens that were found there and not computed again.",
                                         {{"model_name", model}})),
      stopped(finished(registry, model, "stop")),
      length(finished(registry, model, "length")),
      aborted(finished(registry, model, "abort")),
      failed(finished(registry, model, "error")),
      queue_time(registry.histogram("vllm:request_queue_time_seconds", "From arrival to the first step.",
                                    kRequest, {{"model_name", model}})),
      time_to_first_token(registry.histogram("vllm:time_to_first_token_seconds",
                                             "From arrival to the first token.", kFirstToken,
                                             {{"model_name", model}})),
      inter_token_latency(registry.histogram("vllm:inter_token_latency_seconds",
                                             "Between tokens of one choice.", kInterToken,
                                             {{"model_name", model}})),
      request_latency(registry.histogram("vllm:e2e_request_latency_seconds", "From arrival to the end.",
                                         kRequest, {{"model_name", model}})),
      step_time(registry.histogram("autoglm_engine_step_seconds", "One step of the engine.", kStep,
                                   {{"model_name", model}})),
      registry_(registry),
      model_(model) {
  const auto gauge = [&](const char* name, const char* help, std::function<double()> read) {
    gauges_.push_back(registry.callback(MetricRegistry::Kind::kGauge, name, help, {{"model_name", model}},
                                        std::move(read)));
  };
  gauge("vllm:num_requests_running", "Sequences that are generated now.",
        [&load] { return load.running.load(); });
  gauge("vllm:num_requests_waiting", "Sequences that wait for a slot or for cache.",
        [&load] { return load.waiting.load(); });
  gauge("vllm:kv_cache_usage_perc", "Share of the cache in use, 0 to 1.",
        [&load] { return load.kv_usage.load(); });
  gauge("autoglm_engine_compute_threads", "Threads that compute a step, as decided at present.",
        [&load] { return load.threads.load(); });
  gauge("autoglm_engine_prefill_backlog_tokens", "Prompt tokens not yet computed.",
        [&load] { return static_cast<double>(load.prefill_backlog_tokens.load()); });
}

observe::Counter& EngineMetrics::group_tokens(const std::string& group) {
  return registry_.counter("autoglm_engine_group_tokens_total",
                           "Tokens of prompts and answers that were computed for a group that owns a share; "
                           "without a group's name, for all others.",
                           {{"model_name", model_}, {"group", group}});
}

}  // namespace autoglm::engine
