#pragma once

#include "base/utf8.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace autoglm::gateway {

/// The fields of what this room keeps on disk: numbers as LEB128, texts with their lengths.
inline void put_number(std::string& out, std::uint64_t value) {
  for (; value >= 0x80U; value >>= 7U) out += static_cast<char>((value & 0x7FU) | 0x80U);
  out += static_cast<char>(value);
}

inline void put_text(std::string& out, std::string_view text) {
  put_number(out, text.size());
  out += text;
}

/// Reads fields from the front of bytes. After the first mistake every field is empty.
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t number(std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      const std::uint64_t bits = byte & 0x7FU;
      if ((bits << shift) >> shift != bits) break;
      value |= bits << shift;
      if (byte < 0x80U) return value <= most ? value : wrong();
    }
    return wrong();
  }
  std::uint32_t count() {
    return static_cast<std::uint32_t>(number(std::numeric_limits<std::uint32_t>::max()));
  }
  /// Milliseconds since 1970, which the calendar's clock can count.
  std::chrono::sys_time<std::chrono::milliseconds> time() {
    constexpr auto kMost =
        std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::duration::max());
    return std::chrono::sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(
        static_cast<std::int64_t>(number(static_cast<std::uint64_t>(kMost.count())))));
  }
  /// Of at most `longest` bytes; made valid UTF-8.
  std::string text(std::size_t longest) {
    const std::uint64_t size = number(longest);
    std::string out;
    if (size > rest_.size()) {
      wrong();
      return out;
    }
    append_valid_utf8(out, rest_.substr(0, size));
    rest_.remove_prefix(size);
    return out;
  }
  bool whole() const { return whole_; }
  bool at_end() const { return rest_.empty(); }

 private:
  std::uint64_t wrong() {
    whole_ = false;
    rest_ = {};
    return 0;
  }

  std::string_view rest_;
  bool whole_ = true;
};

}  // namespace autoglm::gateway
