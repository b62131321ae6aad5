#include "gateway/admission/limits/rate_headers.h"

#include <array>
#include <charconv>
#include <cstdint>

namespace autoglm::gateway {

namespace {

/// Numbers as text on the stack: every answer of a limited client has six of them.
class Digits {
 public:
  std::string_view of(std::uint64_t number) {
    char* const end = std::to_chars(text_.begin(), text_.end(), number).ptr;
    return {text_.begin(), end};
  }
  /// In seconds, rounded up to a thousandth: "1.5s".
  std::string_view of(Duration time) {
    const auto thousandths =
        static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::milliseconds>(time).count());
    char* end = std::to_chars(text_.begin(), text_.end(), thousandths / 1000).ptr;
    if (std::uint64_t rest = thousandths % 1000; rest != 0) {
      *end++ = '.';
      for (std::uint64_t unit = 100; rest != 0; rest %= unit, unit /= 10)
        *end++ = static_cast<char>('0' + rest / unit);
    }
    *end++ = 's';
    return {text_.begin(), end};
  }

 private:
  std::array<char, 32> text_{};
};

struct Names {
  std::string_view limit, remaining, reset;
};
constexpr Names kRequests{"x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
                          "x-ratelimit-reset-requests"};
constexpr Names kTokens{"x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens",
                        "x-ratelimit-reset-tokens"};

}  // namespace

void add_rate_headers(const RateReport& report, FunctionRef<void(std::string_view, std::string_view)> add) {
  const auto add_all = [&add](const Names& names, const std::optional<RateState>& state) {
    if (!state) return;
    Digits digits;
    add(names.limit, digits.of(state->limit));
    add(names.remaining, digits.of(state->remaining));
    add(names.reset, digits.of(state->reset));
  };
  add_all(kRequests, report.requests);
  add_all(kTokens, report.tokens);
}

std::vector<std::pair<std::string, std::string>> rate_headers(const RateReport& report) {
  std::vector<std::pair<std::string, std::string>> headers;
  add_rate_headers(report,
                   [&](std::string_view name, std::string_view value) { headers.emplace_back(name, value); });
  return headers;
}

}  // namespace autoglm::gateway
