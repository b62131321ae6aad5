#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace autoglm {

/// Tests of eight bytes at once, for texts that are searched for a few rare bytes: a header's value, a string
/// on its way into JSON. Each result is nonzero when some byte of `word` matches, but does not say which one.
namespace byte_words {

inline constexpr std::uint64_t kOnes = 0x0101010101010101;
inline constexpr std::uint64_t kHighs = 0x8080808080808080;

/// Some byte is below `limit`, which is at most 128.
constexpr std::uint64_t below(std::uint64_t word, std::uint8_t limit) {
  return (word - kOnes * limit) & ~word & kHighs;
}
constexpr std::uint64_t equal(std::uint64_t word, char byte) {
  return below(word ^ (kOnes * static_cast<std::uint8_t>(byte)), 1);
}
constexpr std::uint64_t beyond_ascii(std::uint64_t word) { return word & kHighs; }

/// Whether `meant(word)` is nonzero for any eight bytes of `text`; a shorter text is padded with 'a'.
template <class Meant>
bool any(std::string_view text, const Meant& meant) {
  const char* at = text.data();
  std::size_t left = text.size();
  std::uint64_t word = kOnes * 'a';
  if (left < 8) {
    for (; left > 0; --left, ++at) word = word << 8U | static_cast<unsigned char>(*at);
    return meant(word) != 0;
  }
  for (; left > 8; left -= 8, at += 8) {
    std::memcpy(&word, at, 8);
    if (meant(word) != 0) return true;
  }
  std::memcpy(&word, at + left - 8, 8);  // overlaps the word before
  return meant(word) != 0;
}

}  // namespace byte_words
}  // namespace autoglm
