#include "engine/backends/llama/cut_json.h"

#include <boost/json.hpp>

namespace autoglm::engine {

namespace {

namespace json = boost::json;

bool is_whole(std::string_view text, std::size_t most_depth) {
  json::parse_options options;
  options.max_depth = most_depth;
  boost::system::error_code error;
  json::parse(text, error, {}, options);
  return !error;
}

bool is_beginning(std::string_view text, std::size_t most_depth) {
  json::parse_options options;
  options.max_depth = most_depth;
  json::stream_parser parser({}, options);
  boost::system::error_code error;
  parser.write(text, error);
  return !error;
}

/// Reads the beginning of JSON and keeps track of how it could be completed at each byte.
class Cut {
 public:
  void read(std::string_view text) {
    for (std::size_t at = 0; at < text.size(); ++at) read(text, at);
    size_ = text.size();
  }

  /// Closes everything that is open, keeping an unfinished last value.
  std::string with_last_value(std::string_view text) const {
    std::string whole(text.substr(0, in_string_ && escape_ != 0 ? escape_ - 1 : size_));
    if (in_string_) whole += '"';
    return close(std::move(whole), open_);
  }
  std::string without_last_value(std::string_view text) const {
    return close(std::string(text.substr(0, safe_)), safe_open_);
  }

 private:
  void read(std::string_view text, std::size_t at) {
    const char c = text[at];
    if (in_string_) {
      read_in_string(c, at);
      return;
    }
    if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      open_ += c == '{' ? '}' : ']';
      is_key_ = c == '{';
      be_safe(at + 1);
    } else if (c == '}' || c == ']') {
      if (!open_.empty()) open_.pop_back();
      be_safe(at + 1);
    } else if (c == ',') {
      be_safe(at);  // after a number or a word
      is_key_ = !open_.empty() && open_.back() == '}';
    } else if (c == ':') {
      is_key_ = false;
    }
  }

  void read_in_string(char c, std::size_t at) {
    if (escape_ != 0) {
      // A backslash is followed by one byte, or by "u" and four digits.
      const std::size_t length = at - escape_ + 1;
      if (length == 1 ? c != 'u' : length == 5) escape_ = 0;
    } else if (c == '\\') {
      escape_ = at + 1;
    } else if (c == '"') {
      in_string_ = false;
      if (!is_key_) be_safe(at + 1);
    }
  }

  void be_safe(std::size_t at) {
    safe_ = at;
    safe_open_ = open_;
  }

  static std::string close(std::string text, const std::string& open) {
    text.append(open.rbegin(), open.rend());
    return text;
  }

  std::size_t size_ = 0;
  std::string open_;  // the closing brackets of the open lists and objects, outermost first
  bool in_string_ = false;
  bool is_key_ = false;     // whether the next or current string is a key
  std::size_t escape_ = 0;  // position after the backslash of the current escape; 0: none
  std::size_t safe_ = 0;    // where the text could be cut, with the brackets open there
  std::string safe_open_;
};

}  // namespace

std::optional<std::string> whole_json(std::string_view text, std::size_t most_depth) {
  if (is_whole(text, most_depth)) return std::string(text);
  if (!is_beginning(text, most_depth)) return std::nullopt;
  Cut cut;
  cut.read(text);
  for (std::string whole : {cut.with_last_value(text), cut.without_last_value(text)}) {
    if (is_whole(whole, most_depth)) return whole;
  }
  return std::nullopt;
}

}  // namespace autoglm::engine
