#include "app/builtins.h"

#include "engine/backends/llama/llama_backend.h"
#include "engine/backends/llama/token_sampler.h"

#include <iterator>

namespace autoglm::app {

namespace {

void append(std::vector<gateway::Route>& routes, std::vector<gateway::Route> more) {
  routes.insert(routes.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

void append_health(std::vector<gateway::Route>& routes, const gateway::ModelDirectory& models,
                   const gateway::Readiness& readiness, observe::MetricRegistry& metrics,
                   bool expose_metrics) {
  append(routes, gateway::health_routes(models, readiness));
  if (expose_metrics) append(routes, gateway::metrics_routes(metrics));
}

}  // namespace

engine::BackendLoader backend_loader(const engine::EngineConfig& config, const std::string& path,
                                     unsigned threads) {
  const engine::LlamaOptions options{.path = path,
                                     .context = config.context,
                                     .cache_cells = config.cache_tokens,
                                     .max_sequences = config.max_sequences,
                                     .max_batch = config.max_batch,
                                     .threads = threads};
  return [options](const std::function<void(double)>& progress) {
    return engine::load_llama_backend(options, progress);
  };
}

engine::SamplerFactory sampler_factory() { return engine::make_token_sampler; }

std::vector<gateway::Route> public_routes(const gateway::Pipeline& pipeline,
                                          const gateway::Readiness& readiness,
                                          observe::MetricRegistry& metrics, bool expose_metrics) {
  std::vector<gateway::Route> routes;
  append(routes, gateway::generation_routes(
                     pipeline, metrics.counter("autoglm_ignored_fields_total",
                                               "Members of request bodies that no protocol of ours knows.")));
  append(routes, gateway::model_routes(pipeline.models(), version()));
  append_health(routes, pipeline.models(), readiness, metrics, expose_metrics);
  return routes;
}

std::vector<gateway::Route> admin_routes(const gateway::ModelDirectory& models,
                                         const gateway::Readiness& readiness,
                                         observe::MetricRegistry& metrics, bool expose_metrics) {
  std::vector<gateway::Route> routes = gateway::model_routes(models, version());
  append_health(routes, models, readiness, metrics, expose_metrics);
  return routes;
}

std::string version() { return AUTOGLM_VERSION; }

}  // namespace autoglm::app
