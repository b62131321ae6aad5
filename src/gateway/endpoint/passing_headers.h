#pragma once

#include "http/message.h"

#include <string>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// The fields of an endpoint's answer that its client gets: all but those of the connection and of the body's
/// form, which are ours, and those that we say ourselves.
std::vector<std::pair<std::string, std::string>> passing_headers(const http::HeaderView& headers);

}  // namespace autoglm::gateway
