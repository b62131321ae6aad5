#pragma once

#include "runtime/socket.h"

#include <optional>
#include <string_view>

namespace autoglm::cluster {

/// Reads "10.0.0.1:8000", "name:8000" or "[::1]:8000" as registries write them; nothing: it is none of these.
std::optional<HostPort> read_host_port(std::string_view text);

}  // namespace autoglm::cluster
