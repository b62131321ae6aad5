#pragma once

#include "base/result.h"
#include "config/descriptor.h"
#include "gateway/admission/rate/rate_spec.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// What a limit counts for each of.
enum class LimitScope : std::uint8_t { kKey, kTenant, kGroup, kModel, kGlobal };
inline std::array<config::EnumName<LimitScope>, 5> enum_names(LimitScope) {
  return {{{"key", LimitScope::kKey},
           {"tenant", LimitScope::kTenant},
           {"group", LimitScope::kGroup},
           {"model", LimitScope::kModel},
           {"global", LimitScope::kGlobal}}};
}

inline std::array<config::EnumName<RateAlgorithm>, 3> enum_names(RateAlgorithm) {
  return {{{"token_bucket", RateAlgorithm::kTokenBucket},
           {"leaky_bucket", RateAlgorithm::kLeakyBucket},
           {"sliding_window", RateAlgorithm::kSlidingWindow}}};
}

/// One of `limits:`. Exactly one of `requests`, `tokens`, `concurrent` and `concurrent_tokens` is set.
struct LimitConfig {
  std::string name;
  LimitScope per = LimitScope::kKey;
  std::string requests;  ///< "10/s"
  std::string tokens;    ///< "1000/min"
  std::uint64_t concurrent = 0;
  std::uint64_t concurrent_tokens = 0;
  std::uint64_t burst = 0;  ///< 0: the amount
  RateAlgorithm algorithm = RateAlgorithm::kTokenBucket;
  std::uint32_t queue = 0;
  std::uint32_t assumed_output = 256;

  bool counts_tokens() const { return !tokens.empty() || concurrent_tokens != 0; }
  bool is_rate() const { return !requests.empty() || !tokens.empty(); }
  const std::string& rate() const { return requests.empty() ? tokens : requests; }

  bool operator==(const LimitConfig&) const = default;
};

config::Descriptor<LimitConfig> describe_limit();

/// Reads "1000/min", "10/s", "2M/day", "5/10s": an amount, perhaps with k, M or G, and a time. Errors: a
/// message for the person who wrote it.
Result<RateSpec> parse_rate(const std::string& text);

/// The limit as the limiters have it; of a limit that is a rate. Errors: kInvalidArgument with the key.
Result<RateSpec> rate_of(const LimitConfig& limit);

}  // namespace autoglm::gateway
