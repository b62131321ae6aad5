#include "gateway/admission/jwt/signed_token.h"

#include "gateway/protocol/json/value.h"

#include <jwt.h>
#include <openssl/err.h>

#include <cstdlib>
#include <memory>

namespace autoglm::gateway {

namespace {

struct FreeToken {
  void operator()(jwt_t* token) const { jwt_free(token); }
};
using Token = std::unique_ptr<jwt_t, FreeToken>;

struct FreeText {
  void operator()(char* text) const { std::free(text); }  // of malloc: jansson makes it
};

Token decode(const std::string& token, std::string_view key) {
  if (token.size() > SignedToken::kLongest) return nullptr;
  jwt_t* decoded = nullptr;
  const auto* bytes = key.empty() ? nullptr : reinterpret_cast<const unsigned char*>(key.data());
  const int failed = jwt_decode(&decoded, token.c_str(), bytes, static_cast<int>(key.size()));
  ERR_clear_error();  // a connection's TLS would take what is left there for its own
  return Token(failed == 0 ? decoded : nullptr);
}

std::optional<TokenAlgorithm> algorithm_named(std::string_view name) {
  for (const auto& [known, algorithm] : enum_names(TokenAlgorithm()))
    if (name == known) return algorithm;
  return std::nullopt;  // `none` among them
}

}  // namespace

std::optional<SignedToken> parse_token(const std::string& token) {
  const Token decoded = decode(token, {});
  if (!decoded) return std::nullopt;
  const std::unique_ptr<char, FreeText> header(jwt_get_headers_json(decoded.get(), nullptr));
  const std::unique_ptr<char, FreeText> claims(jwt_get_grants_json(decoded.get(), nullptr));
  if (!header || !claims) return std::nullopt;
  SignedToken found{.kid = std::nullopt, .claims = claims.get()};
  // From the header as the library has parsed it: without a key it reports no algorithm.
  std::string algorithm;
  const auto read = protocol::visit_json_object(
      header.get(), [&](std::string_view name, const protocol::JsonValue& value) -> Result<void> {
        if (name == "crit") return fail(value.wrong("absent"));
        if (name == "alg") return value.read_string(algorithm);
        if (name == "kid") return value.read_string(found.kid.emplace());
        return {};
      });
  const auto known = algorithm_named(algorithm);
  if (!read || !known) return std::nullopt;
  found.algorithm = *known;
  return found;
}

bool is_signed_by(const std::string& token, const TokenKey& key) {
  // The library takes the algorithm from the token: with a public key's text and HS256, which anyone can
  // compute, it would be content.
  const auto said = parse_token(token);
  return said && said->algorithm == key.algorithm && !key.material.empty() &&
         decode(token, key.material) != nullptr;
}

}  // namespace autoglm::gateway
