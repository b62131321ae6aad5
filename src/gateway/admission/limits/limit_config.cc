#include "gateway/admission/limits/limit_config.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <limits>
#include <optional>
#include <string_view>

namespace autoglm::gateway {

namespace {

/// Takes the digits off the beginning of `text`.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::optional<std::uint64_t> factor_of(std::string_view suffix) {
  if (suffix.empty()) return 1;
  if (suffix == "k") return 1'000;
  if (suffix == "M") return 1'000'000;
  if (suffix == "G") return 1'000'000'000;
  return std::nullopt;
}

std::optional<Duration> unit_of(std::string_view name) {
  if (name == "s" || name == "second") return std::chrono::seconds(1);
  if (name == "m" || name == "min" || name == "minute") return std::chrono::minutes(1);
  if (name == "h" || name == "hour") return std::chrono::hours(1);
  if (name == "d" || name == "day") return std::chrono::hours(24);
  return std::nullopt;
}

std::vector<config::Violation> check_limit(const LimitConfig& limit) {
  const int kinds = static_cast<int>(!limit.requests.empty()) + static_cast<int>(!limit.tokens.empty()) +
                    static_cast<int>(limit.concurrent != 0) + static_cast<int>(limit.concurrent_tokens != 0);
  if (kinds != 1) {
    return {{"", kinds == 0 ? "limits nothing: add `requests`, `tokens`, `concurrent` or `concurrent_tokens`"
                            : "limits several things: make a limit of each"}};
  }
  std::vector<config::Violation> wrong;
  if (!limit.is_rate()) {
    for (const auto& [key, set] : {std::pair("burst", limit.burst != 0), {"queue", limit.queue != 0}})
      if (set) wrong.push_back({key, "is only for rates: `requests` and `tokens`"});
    return wrong;
  }
  if (limit.queue != 0 && !limit.tokens.empty())
    wrong.push_back({"queue", "is only for `requests`: reserved tokens do not wait"});
  if (const auto rate = rate_of(limit); !rate) wrong.push_back({rate.error().param, rate.error().message});
  return wrong;
}

}  // namespace

config::Descriptor<LimitConfig> describe_limit() {
  using C = LimitConfig;
  return config::Descriptor<C>(
             "limit", "How much clients may ask for. A call must be within all limits that hold for it.")
      .field("name", &C::name,
             {.doc = "What errors, metrics and `keys[].limits` call it.",
              .example = "tokens",
              .min = 1,
              .required = true})
      .field("per", &C::per,
             {.doc = "What it counts separately: each `key`, `tenant`, `group` or `model`; `global`: all "
                     "calls together."})
      .field("requests", &C::requests,
             {.doc = "Requests in a time: `10/s`, `600/min`, `5k/day`, `5/10s`.", .example = "10/s"})
      .field("tokens", &C::tokens,
             {.doc = "Tokens in a time, of prompts and answers. As many as a call may use are reserved when "
                     "it begins, and what it did not use is given back when it ends.",
              .example = "1000/min"})
      .field("concurrent", &C::concurrent, {.doc = "Requests at the same time.", .example = "16"})
      .field("concurrent_tokens", &C::concurrent_tokens,
             {.doc = "Tokens that running requests may use together.", .example = "100000"})
      .field("burst", &C::burst,
             {.doc = "Requests or tokens that may come at once, of buckets. 0: as many as the amount.",
              .example = "1000"})
      .field("algorithm", &C::algorithm,
             {.doc = "`token_bucket`: `burst` at once, refilled steadily. `leaky_bucket`: the same, and "
                     "`queue` more requests wait for their turn. `sliding_window`: no more than the amount "
                     "in any span of the time."})
      .field("queue", &C::queue, {.doc = "Requests that may wait, of a leaky bucket.", .max = 100'000})
      .field(
          "assumed_output", &C::assumed_output,
          {.doc = "Tokens reserved for the answer to a request that names no most (`max_tokens`).", .min = 1})
      .check(check_limit);
}

Result<RateSpec> parse_rate(const std::string& text) {
  const auto wrong = [&] {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("must be an amount and a time, such as 10/s, 1000/min or 2M/day, got \"{}\"", text));
  };
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) return wrong();
  std::string_view amount = std::string_view(text).substr(0, slash);
  std::string_view time = std::string_view(text).substr(slash + 1);
  const auto number = take_number(amount);
  const auto factor = factor_of(amount);
  const auto times = take_number(time).value_or(1);
  const auto unit = unit_of(time);
  constexpr std::uint64_t kMost = std::uint64_t{1} << 53U;
  if (!number || !factor || !unit || *number == 0 || *number > kMost / *factor || times == 0 ||
      times > 10'000)
    return wrong();
  RateSpec spec{.amount = *number * *factor, .period = *unit * static_cast<std::int64_t>(times)};
  if (auto valid = validate(spec); !valid) return fail(valid.error());
  return spec;
}

Result<RateSpec> rate_of(const LimitConfig& limit) {
  const char* key = limit.requests.empty() ? "tokens" : "requests";
  auto spec = parse_rate(limit.rate());
  if (!spec) return fail(invalid_field(key, spec.error().message));
  spec->burst = limit.burst;
  spec->algorithm = limit.algorithm;
  spec->queue = limit.queue;
  if (auto valid = validate(*spec); !valid) return fail(valid.error());
  return spec;
}

}  // namespace autoglm::gateway
