#pragma once

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm::gateway {

/// Who signs tokens in tests, rightly and wrongly: with keys of its own, each made once.
class Issuer {
 public:
  explicit Issuer(std::size_t rsa_bits = 2048)
      : rsa_(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", rsa_bits)), ec_(EVP_EC_gen("P-256")) {}
  ~Issuer() {
    EVP_PKEY_free(rsa_);
    EVP_PKEY_free(ec_);
  }
  Issuer(const Issuer&) = delete;
  Issuer& operator=(const Issuer&) = delete;

  static std::string base64url(std::string_view bytes) {
    std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
    const int size =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                        reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
    out.resize(static_cast<std::size_t>(size));
    while (out.ends_with('=')) out.pop_back();
    for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
    return out;
  }

  std::string rsa_jwk(std::string_view more = R"(,"kid":"rsa-1","use":"sig","alg":"RS256")") const {
    return fmt::format(R"({{"kty":"RSA","n":"{}","e":"{}"{}}})",
                       base64url(number(rsa_, OSSL_PKEY_PARAM_RSA_N)),
                       base64url(number(rsa_, OSSL_PKEY_PARAM_RSA_E)), more);
  }
  std::string ec_jwk(std::string_view more = R"(,"kid":"ec-1")") const {
    return fmt::format(R"({{"kty":"EC","crv":"P-256","x":"{}","y":"{}"{}}})",
                       base64url(number(ec_, OSSL_PKEY_PARAM_EC_PUB_X, 32)),
                       base64url(number(ec_, OSSL_PKEY_PARAM_EC_PUB_Y, 32)), more);
  }
  std::string jwks() const { return fmt::format(R"({{"keys":[{},{}]}})", rsa_jwk(), ec_jwk()); }
  std::string rsa_pem() const {
    const std::unique_ptr<BIO, decltype(&BIO_free_all)> memory(BIO_new(BIO_s_mem()), BIO_free_all);
    PEM_write_bio_PUBKEY(memory.get(), rsa_);
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &bytes);
    return std::string(bytes, static_cast<std::size_t>(size));
  }

  std::string rs256(std::string_view claims,
                    std::string_view header = R"({"alg":"RS256","kid":"rsa-1"})") const {
    const std::string text = signed_part(header, claims);
    return text + '.' + base64url(signature(rsa_, text));
  }
  std::string es256(std::string_view claims,
                    std::string_view header = R"({"alg":"ES256","kid":"ec-1"})") const {
    const std::string text = signed_part(header, claims);
    return text + '.' + base64url(raw_of(signature(ec_, text)));
  }
  static std::string hs256(std::string_view claims, std::string_view secret,
                           std::string_view header = R"({"alg":"HS256"})") {
    const std::string text = signed_part(header, claims);
    std::array<unsigned char, 32> mac{};
    HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(), nullptr);
    return text + '.' + base64url({reinterpret_cast<const char*>(mac.data()), mac.size()});
  }
  static std::string signed_part(std::string_view header, std::string_view claims) {
    return base64url(header) + '.' + base64url(claims);
  }

 private:
  static std::string number(EVP_PKEY* key, const char* name, int size = 0) {
    BIGNUM* found = nullptr;
    EVP_PKEY_get_bn_param(key, name, &found);
    std::string bytes(static_cast<std::size_t>(size > 0 ? size : BN_num_bytes(found)), '\0');
    BN_bn2binpad(found, reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
    BN_free(found);
    return bytes;
  }
  static std::string signature(EVP_PKEY* key, std::string_view text) {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    std::string out(512, '\0');
    std::size_t size = out.size();
    EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key);
    EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, bytes, text.size());
    out.resize(size);
    return out;
  }
  /// Both numbers of an ECDSA signature, as tokens have them.
  static std::string raw_of(const std::string& der) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
    ECDSA_SIG* both = d2i_ECDSA_SIG(nullptr, &bytes, static_cast<long>(der.size()));
    std::string raw(64, '\0');
    auto* out = reinterpret_cast<unsigned char*>(raw.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(both), out, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(both), out + 32, 32);
    ECDSA_SIG_free(both);
    return raw;
  }

  EVP_PKEY* rsa_;
  EVP_PKEY* ec_;
};

}  // namespace autoglm::gateway
