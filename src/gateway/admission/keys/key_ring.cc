#include "gateway/admission/keys/key_ring.h"

#include "base/assert.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <memory>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::string_view kHashed = "sha256:";

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

struct FreeDigest {
  void operator()(EVP_MD* algorithm) const { EVP_MD_free(algorithm); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

std::array<unsigned char, 32> sha256(std::string_view text) {
  // OpenSSL 3 looks algorithms up by name, which takes longer than the digest of a key.
  static const std::unique_ptr<EVP_MD, FreeDigest> algorithm(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  thread_local const std::unique_ptr<EVP_MD_CTX, FreeDigest> context(EVP_MD_CTX_new());
  std::array<unsigned char, 32> digest{};
  const bool done = algorithm && context && EVP_DigestInit_ex(context.get(), algorithm.get(), nullptr) == 1 &&
                    EVP_DigestUpdate(context.get(), text.data(), text.size()) == 1 &&
                    EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1;
  AUTOGLM_ASSERT(done, "OpenSSL has SHA-256");
  return digest;
}

}  // namespace

Result<KeyRing::Digest> KeyRing::digest_of(const KeyConfig& config) {
  const std::string_view text(config.key);
  if (!text.starts_with(kHashed)) return sha256(text);
  const std::string_view hexadecimal = text.substr(kHashed.size());
  Digest digest{};
  bool whole = hexadecimal.size() == 2 * digest.size();
  for (std::size_t i = 0; whole && i < digest.size(); ++i) {
    const int high = digit_of(hexadecimal[2 * i]);
    const int low = digit_of(hexadecimal[2 * i + 1]);
    whole = high >= 0 && low >= 0;
    digest[i] = static_cast<unsigned char>(16 * high + low);
  }
  if (whole) return digest;
  return fail(invalid_field("key",
                            "the digest behind sha256: must be 64 hexadecimal digits, as `printf %s KEY | "
                            "sha256sum` prints them"));
}

Result<std::shared_ptr<const KeyRing>> KeyRing::make(std::span<const KeyConfig> keys) {
  auto ring = std::make_shared<KeyRing>();
  for (const KeyConfig& each : keys) {
    const auto digest = digest_of(each);
    if (!digest) return fail(digest.error());
    auto caller =
        std::make_shared<const Caller>(Caller{.key = each.name,
                                              .tenant = each.tenant.empty() ? each.name : each.tenant,
                                              .group = each.group,
                                              .models = each.models,
                                              .priority = each.priority,
                                              .limits = each.limits});
    const auto [other, is_new] = ring->callers_.emplace(*digest, std::move(caller));
    if (!is_new)
      return fail(invalid_field("key", fmt::format("is the same as that of \"{}\"", other->second->key)));
  }
  return ring;
}

CallerPtr KeyRing::find(std::string_view key) const {
  const auto found = callers_.find(sha256(key));
  return found == callers_.end() ? nullptr : found->second;
}

}  // namespace autoglm::gateway
