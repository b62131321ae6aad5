#include "gateway/admission/jwt/jwt_config.h"

#include "http/url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <algorithm>

namespace autoglm::gateway {

namespace {

/// By its address alone: 127.0.0.1.example is another one's name.
bool is_own_machine(const std::string& host) {
  in_addr address{};
  const bool is_loopback =
      ::inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24U) == IN_LOOPBACKNET;
  return is_loopback || host == "localhost" || host == "::1";
}

void check_url(const JwtConfig& c, std::vector<config::Violation>& wrong) {
  if (c.jwks_url.empty()) return;
  const auto url = http::Url::parse(c.jwks_url);
  if (!url) {
    wrong.push_back({"jwks_url", url.error().message});
  } else if (!url->tls && !is_own_machine(url->host.host)) {
    wrong.push_back(
        {"jwks_url", "must begin with https://, or anyone on the way could put keys of their own there"});
  }
}

std::vector<config::Violation> check_jwt(const JwtConfig& c) {
  std::vector<config::Violation> wrong;
  const auto sources = static_cast<int>(!c.secret.empty()) + static_cast<int>(!c.jwks_file.empty()) +
                       static_cast<int>(!c.jwks_url.empty());
  if (sources != 1) wrong.push_back({"", "needs one of `jwks_url`, `jwks_file` and `secret`"});
  if (c.audience.empty() || std::ranges::find(c.audience, "") != c.audience.end())
    wrong.push_back(
        {"audience", "must name this service: tokens for other services of the issuer count as well else"});
  if (c.algorithms.empty()) wrong.push_back({"algorithms", "is empty, and no token could be signed"});
  const bool has_secret_algorithm =
      std::ranges::find(c.algorithms, TokenAlgorithm::kHs256) != c.algorithms.end();
  if (!c.secret.empty() && (!has_secret_algorithm || c.algorithms.size() != 1))
    wrong.push_back({"algorithms", "must be [HS256], which `secret` is for"});
  if (!c.jwks_url.empty() && has_secret_algorithm)
    wrong.push_back({"algorithms", "has HS256, whose key is a secret: it cannot be published at `jwks_url`"});
  if (c.models.empty()) wrong.push_back({"models", "is empty: callers could use none; leave it out for all"});
  check_url(c, wrong);
  return wrong;
}

}  // namespace

config::Descriptor<JwtConfig> describe_jwt() {
  using C = JwtConfig;
  return config::Descriptor<C>("jwt",
                               "Tokens (JWT) of an identity provider, sent as `Authorization: Bearer` in the "
                               "place of a key. Unset: none are taken.")
      .field(
          "issuer", &C::issuer,
          {.doc = "What `iss` must be.", .example = "https://login.example.com/", .min = 1, .required = true})
      .field("audience", &C::audience,
             {.doc = "What `aud` must have one of.", .example = "[open-autoglm]", .required = true})
      .field("jwks_url", &C::jwks_url,
             {.doc = "Where the issuer publishes its keys. They are fetched at the start, every `refresh`, "
                     "and when a "
                     "token names an unknown one; while that fails, the last ones are used.",
              .example = "https://login.example.com/.well-known/jwks.json"})
      .field("jwks_file", &C::jwks_file,
             {.doc = "A file with them (a JWK set), which is read again when it changes.",
              .example = "/etc/open-autoglm/jwks.json"})
      .field("secret", &C::secret,
             {.doc = "The shared secret of HS256, at least 32 bytes.",
              .example = "${env:JWT_SECRET}",
              .min = 32,
              .secret = true})
      .field("algorithms", &C::algorithms, {.doc = "How tokens may be signed.", .example = "[RS256, ES256]"})
      .field("name_claim", &C::name_claim,
             {.doc = "The claim with the caller's name, which is then `jwt:` and its text.", .min = 1})
      .field("tenant_claim", &C::tenant_claim,
             {.doc = "The claim with its tenant. Unset: each caller is its own. Claims that are named here "
                     "must be in "
                     "every token.",
              .example = "org"})
      .field("group_claim", &C::group_claim,
             {.doc = "The claim with its group. Unset: `group`.", .example = "team"})
      .field("models_claim", &C::models_claim,
             {.doc = "The claim with its models, a list or words. Unset: `models`.", .example = "models"})
      .field("group", &C::group, {.doc = "The group of `groups` that calls run in.", .example = "chat"})
      .field("models", &C::models,
             {.doc = "The models that callers may use; a `*` at the end stands for any rest.",
              .example = "[\"*\"]"})
      .field("priority", &C::priority, {.doc = "The priority of calls, 9 first.", .max = 9})
      .field("limits", &C::limits,
             {.doc = "The limits per key, tenant and group that hold for callers. Unset: all.",
              .example = "[rps]"})
      .field("leeway", &C::leeway,
             {.doc = "How far the issuer's clock may be off for `exp` and `nbf`.", .max = 600})
      .field("refresh", &C::refresh, {.doc = "How often `jwks_url` is asked.", .min = 30, .max = 86'400})
      .check(check_jwt);
}

}  // namespace autoglm::gateway
