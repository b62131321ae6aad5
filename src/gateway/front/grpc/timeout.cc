#include "gateway/front/grpc/timeout.h"

#include "base/utf8.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace autoglm::gateway::grpc {

namespace {

constexpr Duration kLongest = std::chrono::hours(7 * 24);

/// Null: there is no such unit.
const std::chrono::nanoseconds* unit_of(char letter) {
  static constexpr std::pair<char, std::chrono::nanoseconds> kUnits[] = {
      {'H', std::chrono::hours(1)},        {'M', std::chrono::minutes(1)},
      {'S', std::chrono::seconds(1)},      {'m', std::chrono::milliseconds(1)},
      {'u', std::chrono::microseconds(1)}, {'n', std::chrono::nanoseconds(1)}};
  const auto* found = std::ranges::find(kUnits, letter, &std::pair<char, std::chrono::nanoseconds>::first);
  return found == std::end(kUnits) ? nullptr : &found->second;
}

}  // namespace

Result<Duration> parse_timeout(std::string_view text) {
  std::uint32_t count = 0;
  const auto* unit = text.empty() ? nullptr : unit_of(text.back());
  const std::string_view digits = text.substr(0, text.empty() ? 0 : text.size() - 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  if (unit == nullptr || digits.empty() || digits.size() > 8 || error != std::errc() ||
      end != digits.data() + digits.size()) {
    return fail(invalid_field("grpc-timeout",
                              fmt::format("grpc-timeout must be up to eight digits and one of H, M, S, "
                                          "m, u, n, got \"{}\"",
                                          excerpt(text, 32))));
  }
  // Eight digits of hours would not fit.
  if (std::chrono::duration<double>(*unit) * count >= kLongest) return kLongest;
  return std::chrono::duration_cast<Duration>(*unit * static_cast<std::int64_t>(count));
}

}  // namespace autoglm::gateway::grpc
