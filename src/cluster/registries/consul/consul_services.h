#pragma once

#include "base/result.h"
#include "cluster/registries/registry.h"

#include <string_view>
#include <vector>

namespace autoglm::cluster {

/// Reads the answer of /v1/health/service/NAME: sorted instances with their tags, metadata, weights for the
/// state they are in, and the node's address where the service has none. `passing`: those that are only
/// warned of count as unhealthy. Errors: kBadGateway for what is no such answer.
Result<std::vector<Instance>> read_consul_services(std::string_view body, bool passing);

}  // namespace autoglm::cluster
