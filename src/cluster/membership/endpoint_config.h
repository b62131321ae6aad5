#pragma once

#include "cluster/membership/endpoint_spec.h"
#include "config/descriptor.h"

namespace autoglm::cluster {

config::Descriptor<EndpointTls> describe_endpoint_tls();
/// One of `models[].endpoints`.
config::Descriptor<EndpointSpec> describe_endpoint();
/// The same without `url`: for servers whose addresses a registry knows.
config::Descriptor<EndpointSpec> describe_endpoint_options();

}  // namespace autoglm::cluster
