#pragma once

#include "base/clock.h"

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace autoglm::config {

/// A number of bytes: "16MiB", "1GB", "512KiB"; a bare number is bytes.
struct ByteSize {
  std::int64_t bytes = 0;
  auto operator<=>(const ByteSize&) const = default;
};

/// Where a server listens: "0.0.0.0:8080", "[::1]:8080", "localhost:0" (0: any free port). A bare port
/// means every interface.
struct ListenAddress {
  std::string host = "0.0.0.0";  ///< a name or an address, without brackets
  std::uint16_t port = 0;
  auto operator<=>(const ListenAddress&) const = default;
};

/// The value of a text, or what the text must be ("must be a duration such as 30s, …"), without the text.
template <class T>
using Parsed = std::expected<T, std::string>;

/// "30s", "500ms", "1m30s", "2h", "7d", "1.5s"; a bare number is seconds. Never negative.
Parsed<Duration> parse_duration(std::string_view text);
Parsed<ByteSize> parse_byte_size(std::string_view text);
Parsed<ListenAddress> parse_listen_address(std::string_view text);

/// In the largest unit that is exact, so that it parses back to the same value.
std::string to_string(Duration duration);
std::string to_string(ByteSize size);
std::string to_string(const ListenAddress& address);

}  // namespace autoglm::config
