#include "gateway/admission/jwt/jwk_set.h"

#include "gateway/protocol/json/value.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

namespace {

using protocol::JsonValue;

constexpr std::size_t kLongestKid = 256;
constexpr int kLeastRsaBits = 2048;
constexpr std::size_t kLeastSecret = 32;
constexpr std::size_t kCoordinate = 32;  // bytes, of P-256

template <auto Free>
struct Freed {
  void operator()(auto* object) const { Free(object); }
};
using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Freed<OSSL_PARAM_free>>;
using ParameterBuilder = std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD_free>>;
using Memory = std::unique_ptr<BIO, Freed<BIO_free_all>>;

/// The members of a JWK that count here.
struct Jwk {
  std::string kty, kid, use, alg, crv, n, e, x, y, k;
};

Result<void> read_jwk(std::string_view name, const JsonValue& value, Jwk& jwk) {
  const std::pair<std::string_view, std::string*> members[] = {
      {"kty", &jwk.kty}, {"kid", &jwk.kid}, {"use", &jwk.use}, {"alg", &jwk.alg}, {"crv", &jwk.crv},
      {"n", &jwk.n},     {"e", &jwk.e},     {"x", &jwk.x},     {"y", &jwk.y},     {"k", &jwk.k}};
  for (const auto& [known, target] : members)
    if (name == known) return value.read_string(*target);
  return {};
}

/// Base64 as URLs have it, without padding. Empty: it is none.
std::string from_base64url(std::string text) {
  for (char& c : text) {
    if (c == '-') {
      c = '+';
    } else if (c == '_') {
      c = '/';
    } else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) {
      return {};
    }
  }
  const std::size_t padding = (4 - text.size() % 4) % 4;
  if (padding == 3 || text.size() > JwkSet::kMostBytes) return {};
  text.append(padding, '=');
  std::string bytes(text.size() / 4 * 3, '\0');
  const int decoded =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (decoded < 0) return {};
  bytes.resize(static_cast<std::size_t>(decoded) - padding);
  return bytes;
}

Key make_key(const char* type, OSSL_PARAM_BLD* builder) {
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    return nullptr;
  Key key(made);
  const KeyContext check(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  return check && EVP_PKEY_public_check(check.get()) == 1 ? std::move(key) : nullptr;
}

Number number_of(const std::string& bytes) {
  return Number(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                          static_cast<int>(bytes.size()), nullptr));
}

Key rsa_key(const Jwk& jwk) {
  const Number n = number_of(from_base64url(jwk.n));
  const Number e = number_of(from_base64url(jwk.e));
  const ParameterBuilder builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder || BN_num_bits(n.get()) < kLeastRsaBits ||
      BN_num_bits(n.get()) > 8 * kLeastRsaBits || BN_num_bits(e.get()) > 32 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return nullptr;
  return make_key("RSA", builder.get());
}

Key ec_key(const Jwk& jwk) {
  const std::string x = from_base64url(jwk.x);
  const std::string y = from_base64url(jwk.y);
  if (jwk.crv != "P-256" || x.size() != kCoordinate || y.size() != kCoordinate) return nullptr;
  const std::string point = '\x04' + x + y;  // uncompressed
  const ParameterBuilder builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) !=
          1)
    return nullptr;
  return make_key("EC", builder.get());
}

std::string to_pem(const Key& key) {
  const Memory memory(BIO_new(BIO_s_mem()));
  if (!key || !memory || PEM_write_bio_PUBKEY(memory.get(), key.get()) != 1) return {};
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(memory.get(), &bytes);
  return size > 0 ? std::string(bytes, static_cast<std::size_t>(size)) : std::string();
}

/// Nothing: it is for another use, weak, or broken.
std::optional<TokenKey> usable(const Jwk& jwk) {
  if (jwk.kid.size() > kLongestKid || (!jwk.use.empty() && jwk.use != "sig")) return std::nullopt;
  TokenKey key{.kid = jwk.kid, .algorithm = TokenAlgorithm::kRs256, .material = {}};
  std::string_view algorithm = "RS256";
  if (jwk.kty == "RSA") {
    key.material = to_pem(rsa_key(jwk));
  } else if (jwk.kty == "EC") {
    key.algorithm = TokenAlgorithm::kEs256;
    algorithm = "ES256";
    key.material = to_pem(ec_key(jwk));
  } else if (jwk.kty == "oct") {
    key.algorithm = TokenAlgorithm::kHs256;
    algorithm = "HS256";
    key.material = from_base64url(jwk.k);
    if (key.material.size() < kLeastSecret) return std::nullopt;
  }
  ERR_clear_error();  // a connection's TLS would take what is left there for its own
  if (key.material.empty() || (!jwk.alg.empty() && jwk.alg != algorithm)) return std::nullopt;
  return key;
}

}  // namespace

Result<std::shared_ptr<const JwkSet>> JwkSet::parse(std::string_view json) {
  if (json.size() > kMostBytes) return fail(ErrorCode::kInvalidArgument, "is larger than 1 MiB");
  auto set = std::make_shared<JwkSet>();
  std::size_t count = 0;
  bool has_list = false;
  auto read =
      protocol::visit_json_object(json, [&](std::string_view name, const JsonValue& value) -> Result<void> {
        if (name != "keys") return {};
        has_list = true;
        return value.for_each_item([&](const JsonValue& item) -> Result<void> {
          if (++count > kMostKeys) return fail(ErrorCode::kInvalidArgument, "has more than 128 keys");
          Jwk jwk;
          auto members = item.for_each_member(
              [&](std::string_view member, const JsonValue& each) { return read_jwk(member, each, jwk); });
          if (!members) return {};  // the issuer's other keys, and those it has withdrawn, count all the same
          if (auto key = usable(jwk)) set->keys_.push_back(std::move(*key));
          return {};
        });
      });
  if (!read) return fail(std::move(read).error());
  if (!has_list) return fail(ErrorCode::kInvalidArgument, "has no list of keys");
  return set;
}

std::shared_ptr<const JwkSet> JwkSet::of_secret(std::string secret) {
  auto set = std::make_shared<JwkSet>();
  set->keys_.push_back({.kid = {}, .algorithm = TokenAlgorithm::kHs256, .material = std::move(secret)});
  return set;
}

const TokenKey* JwkSet::find(const std::optional<std::string>& kid, TokenAlgorithm algorithm) const {
  const TokenKey* found = nullptr;
  for (const TokenKey& key : keys_) {
    if (key.algorithm != algorithm) continue;
    // A key without an id, as a shared secret has none, may have signed any token.
    if (kid && !key.kid.empty() && key.kid != *kid) continue;
    if (kid && key.kid == *kid) return &key;
    if (found != nullptr) return nullptr;
    found = &key;
  }
  return found;
}

}  // namespace autoglm::gateway
