#include "gateway/admission/keys/key_digest.h"

#include "base/assert.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <iterator>
#include <memory>

namespace autoglm::gateway {

namespace {

int hexadecimal_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

struct FreeDigest {
  void operator()(EVP_MD* algorithm) const { EVP_MD_free(algorithm); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

}  // namespace

KeyDigest digest_of_key(std::string_view key) {
  // OpenSSL 3 looks algorithms up by name, which takes longer than the digest of a key.
  static const std::unique_ptr<EVP_MD, FreeDigest> algorithm(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  thread_local const std::unique_ptr<EVP_MD_CTX, FreeDigest> context(EVP_MD_CTX_new());
  KeyDigest digest{};
  const bool done = algorithm && context && EVP_DigestInit_ex(context.get(), algorithm.get(), nullptr) == 1 &&
                    EVP_DigestUpdate(context.get(), key.data(), key.size()) == 1 &&
                    EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1;
  AUTOGLM_ASSERT(done, "OpenSSL has SHA-256");
  return digest;
}

std::optional<KeyDigest> parse_digest(std::string_view text) {
  KeyDigest digest{};
  if (text.size() != 2 * digest.size()) return std::nullopt;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const int high = hexadecimal_digit(text[2 * i]);
    const int low = hexadecimal_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    digest[i] = static_cast<unsigned char>(16 * high + low);
  }
  return digest;
}

std::string to_hexadecimal(const KeyDigest& digest) {
  std::string text;
  for (const unsigned char byte : digest) fmt::format_to(std::back_inserter(text), "{:02x}", byte);
  return text;
}

std::optional<std::string> new_key() {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::array<unsigned char, 33> random{};  // 264 bits are whole letters
  if (RAND_priv_bytes(random.data(), static_cast<int>(random.size())) != 1) return std::nullopt;
  std::string key = "sk-";
  for (std::size_t i = 0; i < random.size(); i += 3) {
    const unsigned bits = random[i] << 16U | random[i + 1] << 8U | random[i + 2];
    for (int shift = 18; shift >= 0; shift -= 6) key += kLetters[bits >> static_cast<unsigned>(shift) & 63U];
  }
  return key;
}

}  // namespace autoglm::gateway
