#pragma once

#include "base/result.h"
#include "gateway/admission/usage/usage_day.h"
#include "inference/caller.h"

#include <string_view>

namespace autoglm::gateway {

/// Recognizes callers by what others have signed for them. Thread-safe; never waits.
class TokenVerifier {
 public:
  virtual ~TokenVerifier() = default;

  /// The caller of `token`. Errors: kUnauthenticated with the reason "invalid_token" or "expired_token";
  /// kUnavailable while the keys that it may be signed with are fetched.
  virtual Result<CallerPtr> verify(std::string_view token, WallTime now) = 0;
};

/// Whether `text` has a token's form, which no key made here has.
inline bool looks_like_token(std::string_view text) {
  if (!text.starts_with("ey")) return false;
  const std::size_t first = text.find('.');
  const std::size_t second = first == std::string_view::npos ? first : text.find('.', first + 1);
  return second != std::string_view::npos && text.find('.', second + 1) == std::string_view::npos;
}

}  // namespace autoglm::gateway
