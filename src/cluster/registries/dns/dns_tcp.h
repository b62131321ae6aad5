#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <sys/socket.h>

#include <span>
#include <vector>

namespace autoglm::cluster {

/// Asks a server of the DNS over TCP, for an answer that does not fit into a datagram. Blocks for `patience`
/// at most, which glibc's own fallback to TCP does not promise. Errors: kUnavailable.
Result<std::vector<unsigned char>> ask_dns_by_tcp(std::span<const std::byte> server,
                                                  std::span<const unsigned char> query, Duration patience);

}  // namespace autoglm::cluster
