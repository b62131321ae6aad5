#include "engine/text/call_id.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace autoglm::engine {

namespace {

constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kLength = 9;

}  // namespace

std::string call_id(std::string_view seed) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : seed) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  // FNV's lowest bits depend little on the last bytes.
  hash ^= hash >> 31U;
  hash *= 0x9E3779B97F4A7C15ULL;
  hash ^= hash >> 29U;
  std::string id(kLength, '0');
  for (char& digit : id) {
    digit = kDigits[hash % kDigits.size()];
    hash /= kDigits.size();
  }
  return id;
}

bool is_call_id(std::string_view id) {
  return id.size() == kLength &&
         std::ranges::all_of(id, [](char c) { return kDigits.find(c) != std::string_view::npos; });
}

}  // namespace autoglm::engine
