#include "gateway/admission/jwt/jwt_claims.h"

#include "gateway/protocol/json/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::gateway {

namespace {

using protocol::JsonValue;

constexpr std::size_t kLongestClaim = 256;
constexpr std::size_t kMostModels = 64;
constexpr double kLatest = 7e9;  // seconds since 1970: beyond them, nanoseconds no longer fit

struct Claims {
  std::string issuer;
  std::vector<std::string> audience;
  std::optional<double> expires;
  std::optional<double> not_before;
  std::string name, tenant, group;
  std::vector<std::string> models;
};

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

Result<void> read_models(const JsonValue& value, std::vector<std::string>& models) {
  auto read = value.as_strings(kMostModels);
  if (!read) return fail(std::move(read).error());
  models = value.is_string() ? words_of(read->front()) : std::move(*read);
  if (models.size() > kMostModels) return fail(value.wrong("at most 64 models"));
  return {};
}

Result<void> read_time(const JsonValue& value, std::optional<double>& time) {
  const auto seconds = value.as_number(0, 1e300);
  if (!seconds) return fail(seconds.error());
  time = std::min(*seconds, kLatest);
  return {};
}

Result<void> read_claim(std::string_view name, const JsonValue& value, const JwtConfig& config,
                        Claims& claims) {
  if (name == "iss") return value.read_string(claims.issuer);
  if (name == "exp") return read_time(value, claims.expires);
  if (name == "nbf") return read_time(value, claims.not_before);
  if (name == "aud") {
    auto audience = value.as_strings(kMostModels);
    if (!audience) return fail(std::move(audience).error());
    claims.audience = std::move(*audience);
    return {};
  }
  // One claim may serve as several.
  for (const auto& [wanted, target] :
       {std::pair(&config.name_claim, &claims.name), std::pair(&config.tenant_claim, &claims.tenant),
        std::pair(&config.group_claim, &claims.group)}) {
    if (*wanted != name) continue;
    if (auto read = value.read_string(*target); !read) return read;
    if (target->size() > kLongestClaim) return fail(value.wrong("at most 256 bytes"));
  }
  return config.models_claim == name ? read_models(value, claims.models) : Result<void>();
}

WallTime moment_of(double seconds) {
  return WallTime(std::chrono::duration_cast<WallTime::duration>(std::chrono::duration<double>(seconds)));
}

bool is_for(const std::vector<std::string>& audience, const std::vector<std::string>& wanted) {
  return std::ranges::any_of(
      audience, [&](const std::string& each) { return std::ranges::find(wanted, each) != wanted.end(); });
}

Error lacks(std::string_view claim) {
  return invalid_token(fmt::format("the token lacks the claim \"{}\"", claim));
}

}  // namespace

Error invalid_token(std::string_view what) {
  return Error{.code = ErrorCode::kUnauthenticated,
               .origin = Origin::kClient,
               .message = std::string(what),
               .reason = "invalid_token"};
}

Result<TokenClaims> read_claims(std::string_view text, const JwtConfig& config) {
  Claims claims;
  const auto read = protocol::visit_json_object(text, [&](std::string_view name, const JsonValue& value) {
    auto result = read_claim(name, value, config, claims);
    if (!result)
      result =
          fail(invalid_token("the token has a claim of another form: " + std::string(name.substr(0, 64))));
    return result;
  });
  if (!read) {
    return fail(read.error().reason == "invalid_token"
                    ? read.error()
                    : invalid_token("the token's claims are no JSON object"));
  }
  if (claims.issuer != config.issuer) return fail(invalid_token("the token is by another issuer (iss)"));
  if (!is_for(claims.audience, config.audience))
    return fail(invalid_token("the token is for another service (aud)"));
  if (!claims.expires) return fail(lacks("exp"));
  if (claims.name.empty()) return fail(lacks(config.name_claim));
  if (!config.tenant_claim.empty() && claims.tenant.empty()) return fail(lacks(config.tenant_claim));
  if (!config.group_claim.empty() && claims.group.empty()) return fail(lacks(config.group_claim));
  if (!config.models_claim.empty() && claims.models.empty()) return fail(lacks(config.models_claim));
  // No key's name begins like this, so no token is another caller's.
  std::string name = "jwt:" + claims.name;
  auto caller = std::make_shared<const Caller>(
      Caller{.key = name,
             .tenant = config.tenant_claim.empty() ? name : claims.tenant,
             .group = config.group_claim.empty() ? config.group : claims.group,
             .models = config.models_claim.empty() ? config.models : claims.models,
             .priority = config.priority,
             .limits = config.limits});
  return TokenClaims{.caller = std::move(caller),
                     .from = claims.not_before ? moment_of(*claims.not_before) - config.leeway : WallTime(),
                     .until = moment_of(*claims.expires) + config.leeway};
}

}  // namespace autoglm::gateway
