#include "gateway/admission/jwt/jwt_verifier.h"

#include "gateway/admission/jwt/jwt_claims.h"

#include <algorithm>
#include <chrono>
#include <string>

namespace autoglm::gateway {

namespace {

Result<CallerPtr> caller_at(const TokenCache::Entry& entry, WallTime now) {
  if (now < entry.from) return fail(invalid_token("the token is not valid yet (nbf)"));
  if (now < entry.until) return entry.caller;
  Error error = invalid_token("the token has expired (exp); get a new one from its issuer");
  error.reason = "expired_token";
  return fail(std::move(error));
}

}  // namespace

void JwtVerifier::use(JwtConfig config, std::shared_ptr<const JwkSet> keys) {
  rules_.set(std::make_shared<const Rules>(std::move(config), std::move(keys)));
}

Result<CallerPtr> JwtVerifier::verify(std::string_view token, WallTime now) {
  const std::shared_ptr<const Rules> rules = rules_.get();
  if (!rules) return fail(invalid_token("this server takes no tokens, but keys"));
  const KeyDigest digest = digest_of_key(token);
  const auto known = cache_.find(digest);
  if (known && known->rules == rules) return caller_at(*known, now);
  auto entry = check(token, rules);
  if (!entry) return fail(std::move(entry).error());
  auto caller = caller_at(*entry, now);
  if (caller) cache_.put(digest, std::move(*entry));
  return caller;
}

Result<TokenCache::Entry> JwtVerifier::check(std::string_view token, std::shared_ptr<const Rules> rules) {
  const std::string text(token);
  const auto parsed = parse_token(text);
  const auto& algorithms = rules->config.algorithms;
  if (!parsed) return fail(invalid_token("this is no signed token of a kind that this server knows"));
  if (std::ranges::find(algorithms, parsed->algorithm) == algorithms.end())
    return fail(invalid_token("the token is signed by an algorithm that this server does not take (alg)"));
  const TokenKey* key = rules->keys ? rules->keys->find(parsed->kid, parsed->algorithm) : nullptr;
  if (key == nullptr) return fail(unknown_signer());
  if (!is_signed_by(text, *key)) return fail(invalid_token("the token's signature is wrong"));
  auto claims = read_claims(parsed->claims, rules->config);
  if (!claims) return fail(std::move(claims).error());
  return TokenCache::Entry{.caller = std::move(claims->caller),
                           .from = claims->from,
                           .until = claims->until,
                           .rules = std::move(rules)};
}

/// The issuer may have a new key, which is fetched off the request's path, once for all that ask.
Error JwtVerifier::unknown_signer() {
  Freshness stale = Freshness::kStale;
  freshness_.compare_exchange_strong(stale, Freshness::kWanted);
  if (freshness_ == Freshness::kFresh)
    return invalid_token("the token is signed with a key that this server does not know (kid)");
  return Error{.code = ErrorCode::kUnavailable,
               .retry = Retry::kLater,
               .message = "the issuer's keys are being fetched; try again",
               .reason = "token_keys_unavailable",
               .retry_after = std::chrono::seconds(1)};
}

}  // namespace autoglm::gateway
