#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace autoglm::app {

/// Makes messages of lines. A line is a message, unless it ends with a backslash, which goes on in the next
/// line, or begins with `"""`, which goes on until a line ends so. What was pasted, or typed with Alt-Enter,
/// is one "line" that has several.
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
