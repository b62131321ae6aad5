#pragma once

#include <string>
#include <string_view>

namespace autoglm::http {

/// Outgoing header fields, as the text in which they are sent.
class HeaderLines {
 public:
  /// A control character in `value`, which may echo a client's input, becomes a space, so that it cannot end
  /// the line.
  void add(std::string_view name, std::string_view value);
  void add(const HeaderLines& others) { text_ += others.text_; }
  /// Whether there is a field of this name, in any case.
  bool has(std::string_view name) const;
  void reserve(std::size_t bytes) { text_.reserve(bytes); }
  void clear() { text_.clear(); }

  /// Each field with the end of its line.
  std::string_view text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace autoglm::http
