#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace autoglm::app {

/// Makes messages of lines. A line is a message, unless it ends with a backslash, which continues it in the
/// next line, or begins with `"""`, which continues it until a line ends so. Pasted text, or text with
/// Alt-Enter, is one "line" that contains several.
class MessageComposer {
 public:
  /// The whole message, when `line` ends it.
  std::optional<std::string> add(std::string_view line);
  /// Whether a message has begun and not ended.
  bool open() const { return block_ || !text_.empty(); }
  void clear();

 private:
  std::optional<std::string> add_to_block(std::string_view line);
  std::string take();

  std::string text_;
  bool block_ = false;  // between two """
};

}  // namespace autoglm::app
