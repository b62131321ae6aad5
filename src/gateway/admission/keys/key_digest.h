#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::gateway {

/// The SHA-256 of a key: all that is kept of it.
using KeyDigest = std::array<unsigned char, 32>;

/// For hash tables: a digest's bytes are as good as random.
struct KeyDigestHash {
  std::size_t operator()(const KeyDigest& digest) const {
    std::size_t hash = 0;
    std::memcpy(&hash, digest.data(), sizeof hash);
    return hash;
  }
};

KeyDigest digest_of_key(std::string_view key);
/// Nothing: `text` is not 64 hexadecimal digits.
std::optional<KeyDigest> parse_digest(std::string_view text);
std::string to_hexadecimal(const KeyDigest& digest);

/// A new key, "sk-" and 44 letters that carry 264 bits of the system's generator. Nothing: the generator
/// failed.
std::optional<std::string> new_key();

}  // namespace autoglm::gateway
