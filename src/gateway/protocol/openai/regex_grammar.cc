#include "gateway/protocol/openai/regex_grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <iterator>
#include <optional>

namespace autoglm::protocol::openai {

namespace {

constexpr int kMostDepth = 64;

/// Appends one character, escaped so that it is safe both in quotes and in brackets. A bare `<` would begin
/// the name of a token.
void append_character(std::string& out, std::uint32_t code) {
  if (code < 0x80 && (std::isalnum(static_cast<int>(code)) != 0 || code == ' ')) {
    out += static_cast<char>(code);
  } else if (code < 0x100) {
    fmt::format_to(std::back_inserter(out), "\\x{:02X}", code);
  } else {
    fmt::format_to(std::back_inserter(out), "\\U{:08X}", code);
  }
}

/// What `\d` and its like stand for inside brackets.
std::optional<std::string_view> class_of(char escape) {
  switch (escape) {
    case 'd':
    case 'D':
      return "0-9";
    case 'w':
    case 'W':
      return "A-Za-z0-9\\x5F";
    case 's':
    case 'S':
      return " \\x09-\\x0D";
    default:
      return std::nullopt;
  }
}

bool is_negated(char escape) { return escape == 'D' || escape == 'W' || escape == 'S'; }

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  Result<std::string> run() {
    if (pattern_.empty()) return refuse("it is empty");
    auto body = alternatives(0);
    if (!body) return body;
    if (at_ < pattern_.size()) return refuse("a `)` that nothing opens");
    return "root ::= " + *body;
  }

 private:
  std::unexpected<Error> refuse(std::string_view what) const {
    return fail(ErrorCode::kInvalidArgument, fmt::format("{}, at character {}", what, at_));
  }
  bool more() const { return at_ < pattern_.size(); }
  char peek() const { return more() ? pattern_[at_] : '\0'; }
  bool take(std::string_view text) {
    if (!pattern_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }

  /// The next character, which is whole: a body is valid UTF-8.
  std::uint32_t take_character() {
    const auto first = static_cast<unsigned char>(pattern_[at_++]);
    if (first < 0x80) return first;
    const unsigned more_bytes = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    std::uint32_t code = first & (0x3FU >> more_bytes);
    for (unsigned i = 0; i < more_bytes && more(); ++i)
      code = (code << 6U) | (static_cast<unsigned char>(pattern_[at_++]) & 0x3FU);
    return code;
  }

  Result<std::string> alternatives(int depth) {
    if (depth > kMostDepth) return refuse(fmt::format("groups nest deeper than {}", kMostDepth));
    std::string out;
    while (true) {
      auto one = sequence(depth);
      if (!one) return one;
      out += *one;
      if (!take("|")) return out;
      out += " | ";
    }
  }

  Result<std::string> sequence(int depth) {
    std::string out;
    while (more() && peek() != '|' && peek() != ')') {
      if (peek() == '^' || peek() == '$') {
        // The whole text is matched anyway.
        const bool outermost = peek() == '^' ? at_ == 0 : at_ + 1 == pattern_.size();
        if (!outermost) return refuse("an anchor inside the pattern");
        ++at_;
        continue;
      }
      auto one = repeated(depth);
      if (!one) return one;
      if (!out.empty()) out += ' ';
      out += *one;
    }
    return out.empty() ? "\"\"" : out;
  }

  Result<std::string> repeated(int depth) {
    auto out = atom(depth);
    if (!out) return out;
    if (peek() == '*' || peek() == '+' || peek() == '?') {
      *out += pattern_[at_++];
    } else if (peek() == '{') {
      const auto counts = repetition();
      if (!counts) return refuse("`{` that begins no repetition; write `\\{` for the character");
      *out += *counts;
    } else {
      return out;
    }
    // Lazy or greedy: the same texts match.
    if (take("?")) return out;
    if (peek() == '+' || peek() == '*' || peek() == '{') return refuse("a repetition of a repetition");
    return out;
  }

  /// "{2}", "{2,}", "{,3}", "{2,3}".
  std::optional<std::string> repetition() {
    const std::size_t end = pattern_.find('}', at_);
    if (end == std::string_view::npos) return std::nullopt;
    std::string inside(pattern_.substr(at_ + 1, end - at_ - 1));
    const std::size_t comma = inside.find(',');
    const auto is_count = [](std::string_view text) {
      return text.size() <= 9 &&
             std::ranges::all_of(text, [](unsigned char c) { return std::isdigit(c) != 0; });
    };
    if (!is_count(std::string_view(inside).substr(0, comma))) return std::nullopt;
    if (comma == std::string::npos ? inside.empty() : !is_count(std::string_view(inside).substr(comma + 1)))
      return std::nullopt;
    if (comma != std::string::npos && inside.size() == 1) return std::nullopt;
    if (comma == 0) inside.insert(0, 1, '0');
    at_ = end + 1;
    return "{" + inside + "}";
  }

  Result<std::string> atom(int depth) {
    switch (peek()) {
      case '(':
        return group(depth);
      case '[':
        return set();
      case '.':
        ++at_;
        return "[^\\n]";
      case '*':
      case '+':
      case '?':
      case '{':
        return refuse("a repetition of nothing");
      case '\\':
        return escape();
      default:
        return literal(take_character());
    }
  }

  static std::string literal(std::uint32_t code) {
    std::string out = "\"";
    append_character(out, code);
    return out + '"';
  }

  Result<std::string> group(int depth) {
    ++at_;
    if (take("?")) {
      const bool named = take("P<") || (peek() == '<' && at_ + 1 < pattern_.size() &&
                                        pattern_[at_ + 1] != '=' && pattern_[at_ + 1] != '!' && take("<"));
      if (named) {
        const std::size_t end = pattern_.find('>', at_);
        if (end == std::string_view::npos) return refuse("a group's name without an end");
        at_ = end + 1;
      } else if (!take(":")) {
        return refuse("a lookaround or a flag, which no grammar has");
      }
    }
    auto inside = alternatives(depth + 1);
    if (!inside) return inside;
    if (!take(")")) return refuse("a `(` without its `)`");
    return "(" + *inside + ")";
  }

  Result<std::string> escape() {
    const char name = at_ + 1 < pattern_.size() ? pattern_[at_ + 1] : '\0';
    if (const auto known = class_of(name)) {
      at_ += 2;
      return fmt::format("[{}{}]", is_negated(name) ? "^" : "", *known);
    }
    const auto code = escaped_character();
    if (!code) return fail(code.error());
    return literal(*code);
  }

  Result<std::uint32_t> escaped_character() {
    ++at_;
    if (!more()) return refuse("a `\\` at the end");
    const std::uint32_t code = take_character();
    switch (code) {
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case 'r':
        return '\r';
      case 'f':
        return '\f';
      case 'v':
        return '\v';
      case 'x':
        return hex(2);
      case 'u':
        return hex(4);
      default:
        break;
    }
    if (code < 0x80 && std::isalnum(static_cast<int>(code)) != 0) {
      --at_;
      return refuse(fmt::format("`\\{}`, which no grammar has", static_cast<char>(code)));
    }
    return code;
  }

  Result<std::uint32_t> hex(std::size_t digits) {
    std::uint32_t code = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      if (!more() || std::isxdigit(static_cast<unsigned char>(peek())) == 0)
        return refuse(fmt::format("an escape of fewer than {} digits", digits));
      const char digit = static_cast<char>(std::tolower(static_cast<unsigned char>(pattern_[at_++])));
      code = code * 16 + static_cast<std::uint32_t>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    return code;
  }

  /// A character of a set; nothing: a class, which is in `out` already.
  Result<std::optional<std::uint32_t>> set_member(std::string& out) {
    if (peek() != '\\') return take_character();
    const char name = at_ + 1 < pattern_.size() ? pattern_[at_ + 1] : '\0';
    const auto known = class_of(name);
    if (!known) return escaped_character();
    if (is_negated(name)) return refuse("a negated class inside of brackets");
    at_ += 2;
    out += *known;
    return std::nullopt;
  }

  Result<std::string> set() {
    std::string out(1, pattern_[at_++]);
    if (take("^")) out += '^';
    for (bool first = true; first || peek() != ']'; first = false) {
      if (!more()) return refuse("a `[` without its `]`");
      if (pattern_.substr(at_).starts_with("[:")) return refuse("a class by name; write its characters");
      const auto begin = set_member(out);
      if (!begin) return fail(begin.error());
      if (!*begin) continue;
      append_character(out, **begin);
      if (peek() != '-' || at_ + 1 >= pattern_.size() || pattern_[at_ + 1] == ']') continue;
      ++at_;
      std::string none;
      const auto end = set_member(none);
      if (!end) return fail(end.error());
      if (!*end || **end < **begin) return refuse("a range that ends before it begins");
      out += '-';
      append_character(out, **end);
    }
    ++at_;
    return out + ']';
  }

  std::string_view pattern_;
  std::size_t at_ = 0;
};

}  // namespace

Result<std::string> grammar_of_regex(std::string_view pattern) { return Translator(pattern).run(); }

std::string grammar_of_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) {
      out += c;  // a part of a character, which the grammar reads as UTF-8
    } else {
      append_character(out, byte);
    }
  }
  return out + '"';
}

}  // namespace autoglm::protocol::openai
