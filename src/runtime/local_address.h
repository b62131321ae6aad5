#pragma once

#include "base/result.h"
#include "runtime/socket.h"

#include <string>

namespace autoglm {

/// The address of this machine from which `target` is reached, by the kernel's routes; nothing is sent. Asks
/// the system's resolver for names, and so blocks. `only_ipv4`: where nobody answers at another one. Errors:
/// kUnavailable: the name is unknown, or no route leads there.
Result<std::string> local_address_towards(const HostPort& target, bool only_ipv4 = false);

}  // namespace autoglm
