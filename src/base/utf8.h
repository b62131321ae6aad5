#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace autoglm {

/// How the bytes at the beginning of a text read as UTF-8 (RFC 3629: no surrogates, no overlong
/// forms, up to U+10FFFF).
struct Utf8Step {
  enum class Kind { kCharacter, kIncomplete, kInvalid } kind;
  std::size_t length;  ///< of the character, of its part that is there, or of the invalid sequence
};
Utf8Step utf8_step(std::string_view bytes);

/// Appends `bytes` with every invalid sequence, and an incomplete one at the end, replaced by U+FFFD.
void append_valid_utf8(std::string& out, std::string_view bytes);

/// The same for a terminal: control characters, which could move its cursor or change its title, become
/// spaces, except those in `kept`.
void append_printable(std::string& out, std::string_view bytes, std::string_view kept = {});

/// The beginning of `bytes`, for a message: at most about `most` bytes, whole characters, valid UTF-8; a
/// final "…" shows that there is more.
std::string excerpt(std::string_view bytes, std::size_t most);

/// Moves the complete characters of `pending` to the end of `out`, replacing invalid sequences; keeps an
/// incomplete character at the end for the bytes still to come.
void take_complete_utf8(std::string& pending, std::string& out);

}  // namespace autoglm
