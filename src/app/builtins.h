#pragma once

#include "app/model_set.h"
#include "engine/backends/backend.h"
#include "engine/engine_config.h"
#include "gateway/front/http/front.h"
#include "gateway/resilience/pool_config.h"
#include "gateway/routing/balancer.h"

#include <functional>
#include <string>
#include <vector>

namespace autoglm::app {

/// What this binary has, listed in the one place where things are listed.

/// Loads `path` with the backend that its format asks for.
engine::BackendLoader backend_loader(const engine::EngineConfig& config, const std::string& path,
                                     unsigned threads);
engine::SamplerFactory sampler_factory();

/// The policies of balancing.
gateway::BalancerFactory balancer_factory(gateway::Balance balance);

/// Everything that clients can call.
std::vector<gateway::Route> public_routes(const gateway::Pipeline& pipeline,
                                          const gateway::Readiness& readiness,
                                          observe::MetricRegistry& metrics, bool expose_metrics);
/// What the operator can call, on the admin address.
std::vector<gateway::Route> admin_routes(const ModelSet& models,
                                         std::function<Result<std::vector<std::string>>()> reload,
                                         const gateway::Readiness& readiness,
                                         observe::MetricRegistry& metrics, bool expose_metrics);

std::string version();

}  // namespace autoglm::app
