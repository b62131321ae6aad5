#include "gateway/protocol/json/edit.h"

#include "base/json_string.h"

#include <algorithm>
#include <vector>

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

/// Calls `visit(key, begin, end)` for each member, the latter two around its value; where the last one ends.
template <class Visit>
std::size_t for_each_member(std::string_view object, const Visit& visit) {
  Cursor cursor(object);
  cursor.skip_space();
  cursor.advance();  // {
  while (true) {
    cursor.skip_space();
    if (cursor.peek() == ',') {
      cursor.advance();
      continue;
    }
    if (cursor.peek() != '"') return cursor.at();  // }
    const std::string_view key = cursor.skip_string();
    cursor.skip_space();
    cursor.advance();  // :
    cursor.skip_space();
    const std::size_t begin = cursor.at();
    cursor.skip_value();
    visit(key, begin, cursor.at());
  }
}

}  // namespace

std::string edit_members(std::string_view object, std::span<const JsonEdit> edits) {
  std::string out;
  out.reserve(object.size() + 256);
  std::vector<bool> done(edits.size());
  std::size_t copied = 0;
  bool any = false;
  const std::size_t end =
      for_each_member(object, [&](std::string_view key, std::size_t begin, std::size_t after) {
        any = true;
        for (std::size_t i = 0; i < edits.size(); ++i) {
          if (edits[i].key != key) continue;
          out += object.substr(copied, begin - copied);
          out += edits[i].value;
          copied = after;
          done[i] = true;
        }
      });
  out += object.substr(copied, end - copied);
  for (std::size_t i = 0; i < edits.size(); ++i) {
    if (done[i]) continue;
    if (any) out += ',';
    any = true;
    append_json_string(out, edits[i].key);
    out += ':';
    out += edits[i].value;
  }
  out += object.substr(end);
  return out;
}

std::string_view member_value(std::string_view object, std::string_view key) {
  std::string_view value;
  for_each_member(object, [&](std::string_view found, std::size_t begin, std::size_t end) {
    if (found == key) value = object.substr(begin, end - begin);
  });
  return value;
}

}  // namespace autoglm::protocol
