#pragma once

#include <string>
#include <string_view>

namespace autoglm {

/// What stands where a secret would.
inline constexpr std::string_view kHidden = "<hidden>";

/// `url` as logs, messages and printed configurations may show it: neither the user and password before its
/// host nor its query, which carry tokens. A text that does not begin with a scheme stays as it is.
std::string without_secrets(std::string_view url);

}  // namespace autoglm
