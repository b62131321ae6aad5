#include "config/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace autoglm::config {

namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

constexpr std::array<Unit, 7> kTimeUnits = {{{"d", 86'400'000'000'000},
                                             {"h", 3'600'000'000'000},
                                             {"m", 60'000'000'000},
                                             {"s", 1'000'000'000},
                                             {"ms", 1'000'000},
                                             {"us", 1'000},
                                             {"ns", 1}}};
constexpr std::array<Unit, 13> kSizeUnits = {{{"TiB", std::int64_t{1} << 40},
                                              {"TB", 1'000'000'000'000},
                                              {"GiB", 1 << 30},
                                              {"GB", 1'000'000'000},
                                              {"MiB", 1 << 20},
                                              {"MB", 1'000'000},
                                              {"KiB", 1 << 10},
                                              {"KB", 1'000},
                                              {"B", 1},
                                              // Kubernetes' spelling.
                                              {"Ti", std::int64_t{1} << 40},
                                              {"Gi", 1 << 30},
                                              {"Mi", 1 << 20},
                                              {"Ki", 1 << 10}}};

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

/// Takes a decimal number off the front.
std::optional<double> take_number(std::string_view& text) {
  std::size_t length = 0;
  while (length < text.size() && (is_digit(text[length]) || text[length] == '.')) ++length;
  double number = 0;
  const std::string digits(text.substr(0, length));
  const char* const last = digits.c_str() + digits.size();
  const auto [end, error] = std::from_chars(digits.c_str(), last, number, std::chars_format::fixed);
  if (error != std::errc() || end != last) return std::nullopt;
  text.remove_prefix(length);
  return number;
}

/// Takes letters off the front, and a space between number and unit.
std::string_view take_unit(std::string_view& text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  std::size_t length = 0;
  while (length < text.size() && !is_digit(text[length]) && text[length] != ' ') ++length;
  const std::string_view unit = text.substr(0, length);
  text.remove_prefix(length);
  return unit;
}

/// Rounded, if below 2^63; nothing otherwise, where the conversion would be undefined.
std::optional<std::int64_t> to_integer(double value) {
  if (!(value < 0x1p63)) return std::nullopt;
  return static_cast<std::int64_t>(std::llround(value));
}

}  // namespace

Parsed<Duration> parse_duration(std::string_view text) {
  constexpr std::string_view kWanted = "must be a duration such as 30s, 500ms, 5m or 1h";
  double total = 0;
  bool first = true;
  do {
    const auto number = take_number(text);
    if (!number) return std::unexpected(std::string(kWanted));
    const std::string_view name = take_unit(text);
    const auto* unit = std::ranges::find(kTimeUnits, name, &Unit::name);
    if (unit == kTimeUnits.end()) {
      if (!name.empty() || !first || !text.empty()) return std::unexpected(std::string(kWanted));
      unit = std::ranges::find(kTimeUnits, "s", &Unit::name);
    }
    total += *number * static_cast<double>(unit->factor);
    first = false;
  } while (!text.empty());
  const auto nanoseconds = to_integer(total);
  if (!nanoseconds) return std::unexpected("must be a duration of less than 292 years");
  return std::chrono::nanoseconds(*nanoseconds);
}

Parsed<ByteSize> parse_byte_size(std::string_view text) {
  constexpr std::string_view kWanted = "must be a size such as 16MiB, 1GB or 4096 (bytes)";
  const auto number = take_number(text);
  if (!number) return std::unexpected(std::string(kWanted));
  const std::string_view name = take_unit(text);
  if (!text.empty()) return std::unexpected(std::string(kWanted));
  const auto* unit =
      std::ranges::find_if(kSizeUnits, [&](const Unit& u) { return equal_ignoring_case(u.name, name); });
  if (name.empty()) unit = std::ranges::find(kSizeUnits, "B", &Unit::name);
  if (unit == kSizeUnits.end()) {
    // nginx's m is 1024², Kubernetes' M is 1000²: a bare letter must say which one it means.
    const bool letter = name.size() == 1 && std::string_view("kmgtKMGT").contains(name);
    if (!letter) return std::unexpected(std::string(kWanted));
    const char upper = static_cast<char>(name[0] & ~0x20);
    return std::unexpected(fmt::format("must say which unit it means: {0}iB (1024) or {0}B (1000)", upper));
  }
  const auto bytes = to_integer(*number * static_cast<double>(unit->factor));
  if (!bytes) return std::unexpected("must be a size of less than 8 EiB");
  return ByteSize{*bytes};
}

Parsed<ListenAddress> parse_listen_address(std::string_view text) {
  constexpr std::string_view kWanted = "must be host:port such as 0.0.0.0:8080, [::1]:8080 or localhost:8080";
  const auto wrong = [&] { return std::unexpected(std::string(kWanted)); };
  ListenAddress address;
  std::string_view port = text;
  if (const std::size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    std::string_view host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.starts_with('[') && host.ends_with(']')) {
      host = host.substr(1, host.size() - 2);
      if (host.find(':') == std::string_view::npos) return wrong();
    } else if (host.find(':') != std::string_view::npos) {
      return std::unexpected("must have an IPv6 address in brackets, such as [::1]:8080");
    }
    if (host.find_first_of(" \t/@[]?#") != std::string_view::npos) return wrong();
    if (!host.empty() && host != "*") address.host = host;
  }
  int number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  const bool whole = !port.empty() && end == port.data() + port.size();
  if (error == std::errc::invalid_argument || !whole) return wrong();
  if (error != std::errc() || number < 0 || number > 65535) {
    return std::unexpected("must have a port between 0 and 65535");
  }
  address.port = static_cast<std::uint16_t>(number);
  return address;
}

std::string to_string(Duration duration) {
  const std::int64_t nanoseconds = std::chrono::nanoseconds(duration).count();
  if (nanoseconds == 0) return "0s";
  const auto* unit =
      std::ranges::find_if(kTimeUnits, [&](const Unit& u) { return nanoseconds % u.factor == 0; });
  return fmt::format("{}{}", nanoseconds / unit->factor, unit->name);
}

std::string to_string(ByteSize size) {
  if (size.bytes == 0) return "0";
  const auto* unit =
      std::ranges::find_if(kSizeUnits, [&](const Unit& u) { return size.bytes % u.factor == 0; });
  return unit->factor == 1 ? fmt::format("{}", size.bytes)
                           : fmt::format("{}{}", size.bytes / unit->factor, unit->name);
}

std::string to_string(const ListenAddress& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", address.host, v6 ? "]" : "", address.port);
}

}  // namespace autoglm::config
