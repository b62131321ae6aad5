#include "inference/prefix_digests.h"

#include "base/assert.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <array>
#include <cstring>
#include <string_view>

namespace autoglm {

namespace {

constexpr std::size_t kBlock = 512;

/// Multiply and fold, eight bytes at a time. Not cryptographic: a collision costs a worse choice, nothing
/// else.
std::uint64_t mix(std::uint64_t state, std::uint64_t word) {
  const auto product = static_cast<unsigned __int128>(state ^ word) * 0x9E3779B97F4A7C15ULL;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

class Digester {
 public:
  void add(std::string_view text) {
    while (!text.empty()) {
      const std::size_t take = std::min(text.size(), kBlock - filled_);
      std::memcpy(block_ + filled_, text.data(), take);
      filled_ += take;
      text.remove_prefix(take);
      if (filled_ == kBlock) close_block();
    }
  }
  std::vector<std::uint64_t> digests;

 private:
  void close_block() {
    for (std::size_t i = 0; i < kBlock; i += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, block_ + i, 8);
      state_ = mix(state_, word);
    }
    digests.push_back(state_);
    filled_ = 0;
  }

  char block_[kBlock];
  std::size_t filled_ = 0;
  std::uint64_t state_ = 0x243F6A8885A308D3ULL;
};

}  // namespace

std::vector<std::uint64_t> prefix_digests(const GenerateRequest& work) {
  Digester digester;
  const Prompt& prompt = work.prompts.front();
  digester.add(work.cache_salt);
  if (const auto* text = std::get_if<TextPrompt>(&prompt)) {
    digester.add(text->text);
  } else if (const auto* tokens = std::get_if<TokenPrompt>(&prompt)) {
    digester.add(
        {reinterpret_cast<const char*>(tokens->tokens.data()), tokens->tokens.size() * sizeof(TokenId)});
  } else {
    for (const ChatMessage& message : std::get<ChatPrompt>(prompt).messages) {
      digester.add(message.role);
      digester.add(message.content);
    }
  }
  return std::move(digester.digests);
}

std::uint64_t PrefixKey::seal(std::uint64_t digest) const {
  std::array<unsigned char, sizeof digest> bytes{};
  std::memcpy(bytes.data(), &digest, sizeof digest);
  std::array<unsigned char, EVP_MAX_MD_SIZE> code{};
  const auto* made = ::HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()), bytes.data(),
                            bytes.size(), code.data(), nullptr);
  AUTOGLM_ASSERT(made != nullptr, "HMAC-SHA256 is there");
  std::uint64_t seal = 0;
  std::memcpy(&seal, code.data(), sizeof seal);
  return seal;
}

PrefixSet PrefixKey::seal(const PrefixSet& digests) const {
  PrefixSet sealed;
  for (const std::uint64_t digest : digests) sealed.insert(seal(digest));
  return sealed;
}

std::vector<std::uint64_t> prefix_landmarks(std::span<const std::uint64_t> digests) {
  std::vector<std::uint64_t> landmarks;
  for (std::size_t blocks = 1; blocks <= digests.size(); blocks *= 2)
    landmarks.push_back(digests[blocks - 1]);
  return landmarks;
}

}  // namespace autoglm
