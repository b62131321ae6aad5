#pragma once

#include "app/app_config.h"
#include "config/node.h"
#include "config/type.h"

#include <vector>

namespace autoglm::app {

/// What is valid and will surprise, where it takes more than one section to see it. `written` has the keys
/// that somebody wrote.
std::vector<config::Violation> app_warnings(const AppConfig& config, const config::Node& written);

}  // namespace autoglm::app
