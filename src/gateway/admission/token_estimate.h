#pragma once

#include "inference/request.h"

#include <cstdint>

namespace autoglm::gateway {

/// How many tokens a request may use.
struct TokenEstimate {
  std::uint64_t prompt = 0;
  std::uint64_t completion = 0;  ///< the most that all choices together may have

  std::uint64_t total() const { return prompt + completion; }
};

/// An estimate from the request alone, since only an engine knows its own tokens. It is rather too high, so
/// that calls seldom use more than was reserved for them: three bytes of ASCII, or one character of another
/// script, count as a token. A generation without a limit counts `assumed_output`
/// tokens a choice, since models end most answers long before their context is full.
TokenEstimate estimate_tokens(const InferenceRequest& request, std::uint32_t assumed_output);

}  // namespace autoglm::gateway
