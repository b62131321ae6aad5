#pragma once

#include <string>
#include <string_view>

namespace autoglm {

/// Stands in place of a secret.
inline constexpr std::string_view kHidden = "<hidden>";

/// `url` as logs, messages and printed configurations may show it: without the user and password before its
/// host and without its query, both of which can carry tokens. A text without a scheme is returned unchanged.
std::string without_secrets(std::string_view url);

}  // namespace autoglm
