#include "base/base64.h"

#include <cstdint>
#include <string_view>

namespace autoglm {

void append_base64(std::string& out, std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const std::size_t begin = out.size();
  out.resize(begin + (bytes.size() + 2) / 3 * 4, '=');
  char* to = out.data() + begin;
  for (std::size_t i = 0; i < bytes.size(); i += 3, to += 4) {
    std::uint32_t three = 0;
    for (std::size_t k = 0; k < 3; ++k)
      three = three << 8U | (i + k < bytes.size() ? static_cast<std::uint32_t>(bytes[i + k]) : 0U);
    const std::size_t digits = bytes.size() - i < 3 ? bytes.size() - i + 1 : 4;
    for (std::size_t k = 0; k < digits; ++k) to[k] = kDigits[three >> (18 - 6 * k) & 63U];
  }
}

std::string to_base64(std::string_view bytes) {
  std::string out;
  append_base64(out, std::as_bytes(std::span(bytes)));
  return out;
}

std::optional<std::string> read_base64(std::string_view text) {
  const auto value_of = [](char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
  };
  if (text.size() % 4 != 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string out;
  unsigned bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int value = i < text.size() - padding ? value_of(text[i]) : 0;
    if (value < 0) return std::nullopt;
    bits = bits << 6U | static_cast<unsigned>(value);
    if (i % 4 != 3) continue;
    for (const unsigned shift : {16U, 8U, 0U}) out += static_cast<char>(bits >> shift & 255U);
    bits = 0;
  }
  out.resize(out.size() - padding);
  return out;
}

}  // namespace autoglm
