#pragma once

#include "config/node.h"
#include "config/type.h"
#include "gateway/resilience/pool_config.h"

#include <vector>

namespace autoglm::gateway {

/// What is valid in a pool's configuration and will surprise its operator. `written` has the keys that the
/// operator wrote; defaults give no warnings.
std::vector<config::Violation> pool_warnings(const PoolConfig& config, const config::Node& written);
/// Of one endpoint.
std::vector<config::Violation> endpoint_warnings(const cluster::EndpointSpec& config,
                                                 const config::Node& written);

}  // namespace autoglm::gateway
