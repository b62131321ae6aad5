#pragma once

#include "gateway/front/http/readiness.h"
#include "gateway/front/http/route.h"
#include "gateway/model_directory.h"
#include "observe/metrics/registry.h"

#include <string>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// What /readyz says: whether load balancers shall send requests here.
bool is_ready(const LiveDirectory& models, const Readiness& readiness);
/// The state of the whole, and of each model, for people and probes: 200 or 503, and the document.
std::pair<int, std::string> health(const LiveDirectory& models, const Readiness& readiness);

/// /health, /livez, /readyz.
std::vector<Route> health_routes(const LiveDirectory& models, const Readiness& readiness);
/// /metrics: this process's, and those that the endpoints of `models` report.
std::vector<Route> metrics_routes(const observe::MetricRegistry& metrics, const LiveDirectory& models);

}  // namespace autoglm::gateway
