#pragma once

#include "http/message.h"

#include <string>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// The headers of an endpoint's answer that its client gets: all but those about the connection and the
/// body's encoding, which are ours, and those that the gateway writes itself.
std::vector<std::pair<std::string, std::string>> passing_headers(const http::HeaderView& headers);

}  // namespace autoglm::gateway
