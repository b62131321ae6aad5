#pragma once

#include "gateway/front/http/readiness.h"
#include "gateway/front/http/route.h"
#include "gateway/model_directory.h"
#include "observe/metrics/registry.h"

#include <vector>

namespace autoglm::gateway {

/// /health, /livez, /readyz.
std::vector<Route> health_routes(const LiveDirectory& models, const Readiness& readiness);
/// /metrics: this process's, and those that the endpoints of `models` report.
std::vector<Route> metrics_routes(const observe::MetricRegistry& metrics, const LiveDirectory& models);

}  // namespace autoglm::gateway
