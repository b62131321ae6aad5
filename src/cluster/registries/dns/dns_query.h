#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "cluster/registries/dns/dns_config.h"
#include "cluster/registries/registry.h"

#include <cstdint>
#include <span>
#include <vector>

namespace autoglm::cluster {

/// What the DNS says of a name.
struct DnsAnswer {
  std::vector<Instance> instances;          ///< sorted; none: the name has no such record
  Duration time_to_live = Duration::max();  ///< the shortest; of no record: for ever
};

/// Reads a server's answer. Of SRV records those of the best priority count; a record that points nowhere
/// (".") says that the service is not there. Errors: kBadGateway for bytes that are no answer.
Result<DnsAnswer> read_dns_answer(std::span<const unsigned char> message, const DnsConfig& config);

/// Asks; blocks for some seconds at most. Errors: kUnavailable when no server answers, or one that cannot.
Result<DnsAnswer> ask_dns(const DnsConfig& config);

}  // namespace autoglm::cluster
