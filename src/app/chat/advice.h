#pragma once

#include "base/error.h"

#include <string>
#include <string_view>

namespace autoglm::app {

/// What a user who got `error` from the server at `url` can do about it; empty: no advice.
std::string advice(const Error& error, std::string_view url);

}  // namespace autoglm::app
