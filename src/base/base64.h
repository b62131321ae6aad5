#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace autoglm {

/// Appends `bytes` in base64 (RFC 4648, with padding).
void append_base64(std::string& out, std::span<const std::byte> bytes);
std::string to_base64(std::string_view bytes);

/// The bytes that `text` says, with its padding; nothing: it is no base64.
std::optional<std::string> read_base64(std::string_view text);

}  // namespace autoglm
