#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace autoglm {

/// Appends `bytes` in base64 (RFC 4648, with padding).
void append_base64(std::string& out, std::span<const std::byte> bytes);

}  // namespace autoglm
