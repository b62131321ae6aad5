#include "gateway/admission/limits/rate_headers.h"

#include <fmt/format.h>

#include <string_view>

namespace autoglm::gateway {

std::vector<std::pair<std::string, std::string>> rate_headers(const RateReport& report) {
  std::vector<std::pair<std::string, std::string>> headers;
  const auto add = [&headers](std::string_view unit, const std::optional<RateState>& state) {
    if (!state) return;
    headers.emplace_back(fmt::format("x-ratelimit-limit-{}", unit), fmt::format("{}", state->limit));
    headers.emplace_back(fmt::format("x-ratelimit-remaining-{}", unit), fmt::format("{}", state->remaining));
    headers.emplace_back(
        fmt::format("x-ratelimit-reset-{}", unit),
        fmt::format("{}s", to_seconds(std::chrono::ceil<std::chrono::milliseconds>(state->reset))));
  };
  add("requests", report.requests);
  add("tokens", report.tokens);
  return headers;
}

}  // namespace autoglm::gateway
