#pragma once

#include "inference/request.h"

#include <cstdint>

namespace autoglm::gateway {

/// How many tokens a request may use.
struct TokenEstimate {
  /// Of a choice whose request names no limit, unless a limit's configuration says otherwise.
  static constexpr std::uint32_t kAssumedOutput = 256;

  std::uint64_t prompt = 0;
  std::uint64_t bounded = 0;    ///< the most that the choices together may have, where the request says it
  std::uint64_t unbounded = 0;  ///< choices that it does not bound

  /// Models end most answers long before their context is full.
  std::uint64_t completion(std::uint32_t assumed_output = kAssumedOutput) const {
    return bounded + unbounded * assumed_output;
  }
  std::uint64_t total(std::uint32_t assumed_output = kAssumedOutput) const {
    return prompt + completion(assumed_output);
  }
};

/// An estimate from the request alone, since only an engine knows its own tokens. It is rather too high, so
/// that calls seldom use more than was reserved for them: three bytes of ASCII, or one character of another
/// script, count as a token.
TokenEstimate estimate_tokens(const InferenceRequest& request);

}  // namespace autoglm::gateway
