#pragma once

#include "gateway/front/http/route.h"
#include "gateway/resilience/model_pool.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::admin {

/// /endpoints, which shows the members of pools, /endpoints/drain and /endpoints/enable: for the operator
/// only.
std::vector<gateway::Route> endpoint_routes(
    std::function<std::vector<std::shared_ptr<gateway::ModelPool>>()> pools);

/// POST /reload: reads the configuration again; `reload` returns the keys that still need a restart.
using Reload = std::function<Task<Result<std::vector<std::string>>>()>;
std::vector<gateway::Route> reload_routes(Reload reload);

}  // namespace autoglm::admin
