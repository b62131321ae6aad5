#pragma once

#include <string>
#include <string_view>

namespace autoglm::protocol {

/// `text` as one segment of a URL's path: everything but letters, digits and "-._~" is escaped.
std::string url_part(std::string_view text);

}  // namespace autoglm::protocol
