#include "gateway/protocol/json/members.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>

namespace autoglm::protocol {

namespace {

/// Walks over JSON that is known to be valid.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  std::size_t at() const { return at_; }
  bool at_space() const { return peek() == ' ' || peek() == '\n' || peek() == '\t' || peek() == '\r'; }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void advance() { ++at_; }
  void skip_space() {
    while (at_space()) ++at_;
  }
  /// The string's content, escapes as they stand.
  std::string_view skip_string() {
    const std::size_t begin = ++at_;
    while (true) {
      at_ = std::min(text_.find('"', at_), text_.size());
      // It ends the string unless an odd number of backslashes stands before it.
      std::size_t slashes = at_;
      while (slashes > begin && text_[slashes - 1] == '\\') --slashes;
      if (at_ == text_.size() || (at_ - slashes) % 2 == 0) break;
      ++at_;
    }
    const std::string_view content = text_.substr(begin, at_ - begin);
    ++at_;
    return content;
  }
  void skip_value() {
    std::size_t depth = 0;
    while (at_ < text_.size()) {
      const char c = peek();
      if (c == '"') {
        skip_string();
      } else if (depth == 0 && (c == ',' || c == '}' || c == ']' || at_space())) {
        return;
      } else {
        if (c == '{' || c == '[') ++depth;
        if (c == '}' || c == ']') --depth;
        ++at_;
      }
      if (depth == 0 && (c == '"' || c == '}' || c == ']')) return;
    }
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

void append_utf8(std::string& out, std::uint32_t code) {
  const auto tail = [&out, code](unsigned shift) {
    out += static_cast<char>(0x80U | ((code >> shift) & 0x3FU));
  };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0U | (code >> 6U));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0U | (code >> 12U));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0U | (code >> 18U));
    tail(12);
    tail(6);
    tail(0);
  }
}

/// The four digits at `at`.
std::uint32_t hex(std::string_view text, std::size_t at) {
  const std::string_view digits = text.substr(std::min(at, text.size()), 4);
  std::uint32_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return value;
}

std::string unescaped(std::string_view text) {
  constexpr std::string_view kEscapes = "bfnrt";
  constexpr std::string_view kMeanings = "\b\f\n\r\t";
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char escape = text[++i];
    if (escape != 'u') {
      const std::size_t known = kEscapes.find(escape);
      out += known == std::string_view::npos ? escape : kMeanings[known];
      continue;
    }
    std::uint32_t code = hex(text, i + 1);
    i += 4;
    if (code >= 0xD800 && code < 0xDC00) {  // the first half of a pair
      code = 0x10000 + ((code - 0xD800) << 10U) + (hex(text, i + 3) - 0xDC00);
      i += 6;
    }
    append_utf8(out, code);
  }
  return out;
}

}  // namespace

std::size_t for_each_json_member(std::string_view object, FunctionRef<void(const JsonMember&)> visit) {
  Cursor cursor(object);
  cursor.skip_space();
  cursor.advance();  // {
  std::string decoded;
  while (true) {
    cursor.skip_space();
    if (cursor.peek() == ',') {
      cursor.advance();
      continue;
    }
    if (cursor.peek() != '"') return cursor.at();  // }
    JsonMember member{.name = cursor.skip_string()};
    if (member.name.find('\\') != std::string_view::npos) {
      decoded = unescaped(member.name);
      member.name = decoded;
    }
    cursor.skip_space();
    cursor.advance();  // :
    cursor.skip_space();
    member.begin = cursor.at();
    cursor.skip_value();
    member.end = cursor.at();
    visit(member);
  }
}

}  // namespace autoglm::protocol
