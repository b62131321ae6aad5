#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace autoglm {

/// Whether the file descriptor is a terminal, so that a person is likely to read it.
bool is_terminal(int descriptor);
/// Whether it is a terminal that, according to TERM, obeys escape sequences.
bool obeys_escapes(int descriptor);
/// Whether it obeys escape sequences and NO_COLOR is not set (https://no-color.org).
bool shows_colours(int descriptor);

/// Writes to standard output and flushes it. Returns whether all was written; then `errno` says why not.
bool print_now(std::string_view text);

enum class Style : std::uint8_t { kBold, kDim, kRed, kGreen, kYellow };

/// Styles words where colours are shown, and leaves them unchanged elsewhere.
class Paint {
 public:
  explicit Paint(bool on) : on_(on) {}

  std::string operator()(Style style, std::string_view text) const;
  bool on() const { return on_; }

 private:
  bool on_;
};

}  // namespace autoglm
