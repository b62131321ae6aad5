#include "gateway/admission/keys/expiry.h"

#include "base/utf8.h"
#include "config/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

namespace autoglm::gateway {

namespace {

/// Takes two digits off the front; -1: there are none, or they are more than `most`.
int take_two_digits(std::string_view& text, int most) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.size() < 2 || !digit(text[0]) || !digit(text[1])) return -1;
  const int value = 10 * (text[0] - '0') + (text[1] - '0');
  text.remove_prefix(2);
  return value > most ? -1 : value;
}

bool take_letter(std::string_view& text, std::string_view letters) {
  if (text.empty() || letters.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

/// "Z", "+01:00"; nothing: it is neither.
std::optional<std::chrono::minutes> parse_zone(std::string_view text) {
  if (text == "Z" || text == "z") return std::chrono::minutes(0);
  const bool west = text.starts_with('-');
  if (!take_letter(text, "+-")) return std::nullopt;
  const int hours = take_two_digits(text, 23);
  if (hours < 0 || !take_letter(text, ":")) return std::nullopt;
  const int minutes = take_two_digits(text, 59);
  if (minutes < 0 || !text.empty()) return std::nullopt;
  const std::chrono::minutes offset = std::chrono::hours(hours) + std::chrono::minutes(minutes);
  return west ? -offset : offset;
}

std::optional<WallTime> read_moment(std::string_view text) {
  // Nanoseconds of 64 bits end in 2262.
  constexpr Day kEnd = std::chrono::year(2200) / 1 / 1;
  const auto day = parse_day(text.substr(0, 10));
  if (!day || *day >= kEnd) return std::nullopt;
  text.remove_prefix(10);
  if (!take_letter(text, "Tt ")) return std::nullopt;
  const int hour = take_two_digits(text, 23);
  if (hour < 0 || !take_letter(text, ":")) return std::nullopt;
  const int minute = take_two_digits(text, 59);
  if (minute < 0 || !take_letter(text, ":")) return std::nullopt;
  const int second = take_two_digits(text, 60);  // 60: a leap second
  if (second < 0) return std::nullopt;
  if (take_letter(text, ".")) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (digits == 0) return std::nullopt;
    text.remove_prefix(digits);
  }
  const auto zone = parse_zone(text);
  if (!zone) return std::nullopt;
  return *day + std::chrono::hours(hour) + std::chrono::minutes(minute) + std::chrono::seconds(second) -
         *zone;
}

}  // namespace

Result<WallTime> parse_moment(std::string_view text) {
  if (const auto moment = read_moment(text)) return *moment;
  return fail(invalid_field(
      "expires",
      fmt::format("must be a time such as 2027-01-31T00:00:00Z (RFC 3339), got \"{}\"", excerpt(text, 64))));
}

Result<WallTime> parse_expiry(std::string_view text, WallTime now) {
  if (const auto moment = read_moment(text)) return *moment;
  constexpr auto kLongest = std::chrono::hours(24 * 366 * 100);
  const auto span = config::parse_duration(text);
  if (span && *span > Duration::zero() && *span <= kLongest)
    return std::chrono::floor<std::chrono::seconds>(now) + std::chrono::ceil<std::chrono::seconds>(*span);
  return fail(invalid_field(
      "expires",
      fmt::format(
          "must be a time such as 2027-01-31T00:00:00Z, or how long it lasts, such as 90d; got \"{}\"",
          excerpt(text, 64))));
}

std::string to_rfc3339(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const Day day = day_of(seconds);
  const std::chrono::hh_mm_ss clock(seconds - day);
  return fmt::format("{}T{:02}:{:02}:{:02}Z", to_string(day), clock.hours().count(), clock.minutes().count(),
                     clock.seconds().count());
}

}  // namespace autoglm::gateway
