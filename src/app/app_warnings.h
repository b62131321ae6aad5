#pragma once

#include "app/app_config.h"
#include "config/node.h"
#include "config/type.h"

#include <vector>

namespace autoglm::app {

/// Warnings of valid settings that will surprise, where it takes more than one section to see that. `written`
/// has the keys that the operator wrote.
std::vector<config::Violation> app_warnings(const AppConfig& config, const config::Node& written);

}  // namespace autoglm::app
