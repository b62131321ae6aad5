#pragma once

#include "cluster/discovery/discover_config.h"
#include "cluster/membership/endpoint_spec.h"
#include "cluster/registries/registry.h"

#include <optional>

namespace autoglm::cluster {

/// Whether the registry's instance counts: it is healthy there, and has the tags and the metadata that are
/// asked for. Of metadata that is a list with commas any element may match.
bool counts(const Instance& instance, const DiscoverConfig& config);

/// The instance as an endpoint of a pool. Nothing: what its metadata says does not make one, such as a weight
/// that is no number; `why` is told then.
std::optional<EndpointSpec> endpoint_of(const Instance& instance, const DiscoverConfig& config,
                                        std::string& why);

}  // namespace autoglm::cluster
