#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace autoglm {

/// Whether a person looks at what is written to the file descriptor.
bool is_terminal(int descriptor);
/// The same, and TERM says that it obeys escape sequences.
bool obeys_escapes(int descriptor);
/// The same, and NO_COLOR is not set (https://no-color.org).
bool shows_colours(int descriptor);

/// Writes to standard output, at once.
void print_now(std::string_view text);

enum class Style : std::uint8_t { kBold, kDim, kRed, kGreen, kYellow };

/// Puts words into a style where colours are shown, and leaves them as they are elsewhere.
class Paint {
 public:
  explicit Paint(bool on) : on_(on) {}

  std::string operator()(Style style, std::string_view text) const;
  bool on() const { return on_; }

 private:
  bool on_;
};

}  // namespace autoglm
