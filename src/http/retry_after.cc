#include "http/retry_after.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <ctime>
#include <string>
#include <string_view>

namespace autoglm::http {

using std::chrono::seconds;

namespace {

/// An unsigned number with `in_a_second` units a second; rounded up.
std::optional<seconds> number_of(std::string_view text, double in_a_second) {
  const bool digits = !text.empty() && text.find_first_not_of("0123456789.") == std::string_view::npos;
  if (!digits || !std::isdigit(static_cast<unsigned char>(text.front()))) return std::nullopt;
  double count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error == std::errc::result_out_of_range) return kLongestRetryAfter;
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  const double most = static_cast<double>(kLongestRetryAfter.count());
  return seconds(static_cast<seconds::rep>(std::ceil(std::min(count / in_a_second, most))));
}

/// RFC 9110's format, and the two older ones that a recipient must accept.
std::optional<seconds> time_of(const std::string& text) {
  for (const char* form :
       {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    std::tm date{};
    const char* end = ::strptime(text.c_str(), form, &date);
    if (end != nullptr && *end == '\0') return seconds(::timegm(&date));
  }
  return std::nullopt;
}

}  // namespace

std::optional<seconds> retry_after(const HeaderView& headers, std::chrono::system_clock::time_point now) {
  if (const auto value = headers.find("retry-after-ms")) {
    if (const auto said = number_of(*value, 1000)) return said;
  }
  const auto value = headers.find("retry-after");
  if (!value) return std::nullopt;
  if (const auto said = number_of(*value, 1)) return said;
  const auto date = time_of(std::string(*value));
  if (!date) return std::nullopt;
  return std::clamp(*date - std::chrono::ceil<seconds>(now.time_since_epoch()), seconds(0),
                    kLongestRetryAfter);
}

}  // namespace autoglm::http
