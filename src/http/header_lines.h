#pragma once

#include <string>
#include <string_view>

namespace autoglm::http {

/// Header fields on their way out, as the text they are sent as.
class HeaderLines {
 public:
  /// Values may echo what somebody sent: a control character in one becomes a space, so that nothing ends its
  /// line.
  void add(std::string_view name, std::string_view value);
  void add(const HeaderLines& others) { text_ += others.text_; }
  /// Whether there is one of this name, in any case.
  bool has(std::string_view name) const;
  void reserve(std::size_t bytes) { text_.reserve(bytes); }
  void clear() { text_.clear(); }

  /// Each field with the end of its line.
  std::string_view text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace autoglm::http
