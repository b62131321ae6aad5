#pragma once

#include "gateway/admission/jwt/jwt_config.h"
#include "gateway/admission/usage/usage_day.h"
#include "inference/caller.h"

#include <string_view>

namespace autoglm::gateway {

/// What a token's claims come to: the caller, and from when until when the issuer vouches for it, the leeway
/// included.
struct TokenClaims {
  CallerPtr caller;
  WallTime from;
  WallTime until;
};

/// Reads the claims of a token whose signature was verified. Errors: kUnauthenticated, with the claim.
Result<TokenClaims> read_claims(std::string_view claims, const JwtConfig& config);

/// kUnauthenticated: what is wrong with a token.
Error invalid_token(std::string_view what);

}  // namespace autoglm::gateway
