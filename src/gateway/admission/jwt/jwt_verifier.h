#pragma once

#include "base/published.h"
#include "gateway/admission/jwt/jwt_config.h"
#include "gateway/admission/jwt/signed_token.h"
#include "gateway/admission/jwt/token_cache.h"
#include "gateway/admission/keys/token_verifier.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace autoglm::gateway {

/// Verifies tokens by the configuration and the issuer's keys of now. What a token must have: a signature
/// by one of the keys, by an algorithm that is allowed and is that key's; `iss`, `aud` and `exp`; an `nbf`
/// that has passed, if there is one; the claims that the configuration names.
class JwtVerifier final : public TokenVerifier {
 public:
  /// What is known of the keys that a token with an unknown one may be signed with.
  enum class Freshness : std::uint8_t {
    kFresh,   ///< they were fetched just now, or cannot be fetched: the token is refused
    kStale,   ///< they could be fetched again: the token asks for that
    kWanted,  ///< a token has asked
  };

  /// From now on. `keys`: null while none have been fetched.
  void use(JwtConfig config, std::shared_ptr<const JwkSet> keys);
  /// Takes no tokens any more.
  void stop() { rules_.set(nullptr); }

  Result<CallerPtr> verify(std::string_view token, WallTime now) override;

  Freshness freshness() const { return freshness_; }
  void set_freshness(Freshness freshness) { freshness_ = freshness; }
  std::size_t cached() const { return cache_.size(); }

 private:
  struct Rules {
    JwtConfig config;
    std::shared_ptr<const JwkSet> keys;
  };
  Error unknown_signer();
  Result<TokenCache::Entry> check(std::string_view token, std::shared_ptr<const Rules> rules);

  Published<Rules> rules_;
  std::atomic<Freshness> freshness_{Freshness::kFresh};
  TokenCache cache_;
};

}  // namespace autoglm::gateway
