#pragma once

#include "gateway/admission/jwt/jwk_set.h"

#include <optional>
#include <string>
#include <string_view>

namespace autoglm::gateway {

/// What a token says of itself (RFC 7515, 7519). Nothing of it may be believed before it was verified.
struct SignedToken {
  TokenAlgorithm algorithm{};
  std::optional<std::string> kid;
  std::string claims;  ///< a JSON object

  static constexpr std::size_t kLongest = std::size_t{16} << 10U;
};

/// Nothing: it is no token, it is not signed, or it is signed in another way. A token with critical
/// extensions is none, since nobody here knows any.
std::optional<SignedToken> parse_token(const std::string& token);

/// Whether `key` has signed `token`, whose algorithm is the key's.
bool is_signed_by(const std::string& token, const TokenKey& key);

}  // namespace autoglm::gateway
