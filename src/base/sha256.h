#pragma once

#include <string>
#include <string_view>

namespace autoglm {

/// The SHA-256 of `bytes`, as 64 digits in hexadecimal.
std::string sha256_hex(std::string_view bytes);

}  // namespace autoglm
