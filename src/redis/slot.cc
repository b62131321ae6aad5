#include "redis/slot.h"

#include <charconv>
#include <string>

namespace autoglm::redis {

namespace {

/// CRC-16/XMODEM, as Redis' cluster specification has it.
std::uint16_t crc16(std::string_view bytes) {
  std::uint32_t crc = 0;
  for (const char byte : bytes) {
    crc ^= static_cast<std::uint32_t>(static_cast<unsigned char>(byte)) << 8U;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000U) != 0 ? (crc << 1U) ^ 0x1021U : crc << 1U;
    crc &= 0xffffU;
  }
  return static_cast<std::uint16_t>(crc);
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

std::uint16_t slot_of(std::string_view key) {
  const std::size_t open = key.find('{');
  if (open != std::string_view::npos) {
    const std::size_t close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  }
  return crc16(key) % kSlots;
}

std::optional<Redirection> Redirection::parse(std::string_view error) {
  Redirection found{.for_good = error.starts_with("MOVED ")};
  if (!found.for_good && !error.starts_with("ASK ")) return std::nullopt;
  error.remove_prefix(error.find(' ') + 1);
  const std::size_t space = error.find(' '), colon = error.rfind(':');
  if (space == std::string_view::npos || colon == std::string_view::npos || colon < space)
    return std::nullopt;
  const auto slot = number_of<std::uint16_t>(error.substr(0, space));
  const auto port = number_of<std::uint16_t>(error.substr(colon + 1));
  if (!slot || *slot >= kSlots || !port || *port == 0) return std::nullopt;
  found.slot = *slot;
  found.target = {std::string(error.substr(space + 1, colon - space - 1)), *port};
  return found;
}

}  // namespace autoglm::redis
