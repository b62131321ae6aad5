#pragma once

#include <string_view>

namespace autoglm::gateway {

/// The text of welcome.html, with {{names}} where facts go.
extern constinit const std::string_view kWelcomeTemplate;

}  // namespace autoglm::gateway
