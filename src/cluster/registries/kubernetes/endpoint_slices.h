#pragma once

#include "base/result.h"
#include "cluster/registries/registry.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::cluster {

/// An endpoint of an EndpointSlice, at one of the slice's ports.
struct SliceEndpoint {
  /// Whether requests may go there. The better one is greater.
  enum class State : std::uint8_t {
    kDown,    ///< neither: it starts, fails, or is gone
    kEnding,  ///< still serves, and ends: takes requests only when no other can
    kReady,
  } state = State::kDown;
  Instance instance;
};

/// An EndpointSlice: some of a service's endpoints, all of one family of addresses.
struct EndpointSlice {
  std::vector<SliceEndpoint> endpoints;
  bool ipv6 = false;
  /// Of a slice with endpoints that has not the wanted port: "http, metrics". Then it has no endpoints here.
  std::string other_ports;
};

/// Reads an EndpointSlice. `port`: a name or a number; empty: the only one. Metadata are the slice's labels,
/// which are its service's, and `zone`, `node`, `hostname`, `pod`, `hints` (zones, with commas),
/// `app_protocol`. Endpoints without an address are left out. Errors: kBadGateway for what is no
/// EndpointSlice.
Result<EndpointSlice> read_endpoint_slice(std::string_view json, std::string_view port);

/// All slices of a service together, by name, as instances in the order of the slices: one for an address
/// that several slices have, in its best state; one for a pod that has addresses of both families, the IPv4
/// one. Ready ones are healthy; where none is ready, those that end and still serve. Errors:
/// kInvalidArgument, naming the ports, when the service has endpoints and none of them the wanted port.
Result<std::vector<Instance>> merged_slices(const std::map<std::string, EndpointSlice>& slices,
                                            std::string_view port);

}  // namespace autoglm::cluster
