#include "engine/backends/llama/control_tokens.h"

#include <llama.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <optional>

namespace autoglm::engine {

namespace {

// U+FDD0 to U+FDEF are noncharacters for a program's internal use: EF B7 90 to EF B7 AF.
constexpr std::string_view kMarkPrefix = "\xEF\xB7";
constexpr unsigned char kFirstMark = 0x90;
constexpr std::uint32_t kFirstMarkCode = 0xFDD0;
constexpr std::size_t kMarks = 32;
constexpr std::size_t kMarkBytes = 3;

char fold(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// The longest of the sorted `texts` with which the text continues; `byte_at` reads a byte of the text. Each
/// byte narrows the range of candidates, so hundreds of tokens with one beginning cost no more than few.
template <typename Texts, typename BytesOf, typename ByteAt>
auto longest_at(const Texts& texts, std::size_t left, BytesOf bytes_of, ByteAt byte_at) ->
    typename Texts::const_iterator {
  auto low = texts.begin();
  auto high = texts.end();
  auto found = texts.end();
  for (std::size_t depth = 0; low != high && depth < left; ++depth) {
    const auto byte = static_cast<unsigned char>(byte_at(depth));
    const auto at = [&](const auto& entry) {
      const std::string& bytes = bytes_of(entry);
      return depth < bytes.size() ? static_cast<int>(static_cast<unsigned char>(bytes[depth])) : -1;
    };
    low = std::partition_point(low, high, [&](const auto& entry) { return at(entry) < byte; });
    high = std::partition_point(low, high, [&](const auto& entry) { return at(entry) == byte; });
    // A token that ends here sorts before those that continue.
    if (low != high && bytes_of(*low).size() == depth + 1) found = low;
  }
  return found;
}

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

/// The code of the four digits after "\u" at `at`.
std::optional<std::uint32_t> code_at(std::string_view json, std::size_t at) {
  std::uint32_t code = 0;
  if (at + 6 > json.size()) return std::nullopt;
  const char* digits = json.data() + at + 2;
  if (std::from_chars(digits, digits + 4, code, 16).ptr != digits + 4) return std::nullopt;
  return code;
}

/// The character of the escape at `at`, as UTF-8, unless JSON requires the escape.
std::optional<std::string> unescaped(std::string_view json, std::size_t at) {
  const std::uint32_t code = code_at(json, at).value_or(0);
  const bool half = code >= 0xD800 && code <= 0xDFFF;
  if (code < 0x20 || code == '"' || code == '\\' || half) return std::nullopt;
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  const auto next = [code](unsigned shift) { return static_cast<char>(0x80U | ((code >> shift) & 0x3FU)); };
  if (code < 0x800) return std::string{static_cast<char>(0xC0U | (code >> 6U)), next(0)};
  return std::string{static_cast<char>(0xE0U | (code >> 12U)), next(6), next(0)};
}

}  // namespace

ControlTokens::ControlTokens(const llama_vocab* vocab) {
  for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); ++token) {
    const auto attributes = static_cast<unsigned>(llama_vocab_get_attr(vocab, token));
    // All other tokens are matched in plain text as well.
    if ((attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) == 0) continue;
    Text text{.bytes = llama_vocab_get_text(vocab, token),
              .strips_left = (attributes & LLAMA_TOKEN_ATTR_LSTRIP) != 0,
              .strips_right = (attributes & LLAMA_TOKEN_ATTR_RSTRIP) != 0};
    if (text.bytes.empty()) continue;
    std::string& folded = folded_.emplace_back(text.bytes);
    std::ranges::transform(folded, folded.begin(), fold);
    texts_.push_back(std::move(text));
  }
  std::ranges::sort(texts_, {}, &Text::bytes);
  std::ranges::sort(folded_);
  for (std::size_t byte = 0; byte < begins_.size(); ++byte) {
    begins_[byte] = std::ranges::any_of(
        folded_, [byte](const std::string& text) { return text.front() == fold(static_cast<char>(byte)); });
  }
}

const ControlTokens::Text* ControlTokens::find(std::string_view text, std::size_t at) const {
  if (!begins_[static_cast<unsigned char>(text[at])]) return nullptr;
  const auto found = longest_at(
      texts_, text.size() - at, [](const Text& entry) -> const std::string& { return entry.bytes; },
      [&](std::size_t depth) { return text[at + depth]; });
  return found == texts_.end() ? nullptr : &*found;
}

std::size_t ControlTokens::length_in_any_case(std::string_view text, std::size_t at) const {
  if (!begins_[static_cast<unsigned char>(text[at])]) return 0;
  const auto found = longest_at(
      folded_, text.size() - at, [](const std::string& entry) -> const std::string& { return entry; },
      [&](std::size_t depth) { return fold(text[at + depth]); });
  return found == folded_.end() ? 0 : found->size();
}

bool ControlTokens::occur_in(std::string_view text) const {
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (length_in_any_case(text, at) != 0) return true;
  }
  return false;
}

TextMarks::TextMarks(const ControlTokens& tokens, const std::vector<std::string*>& texts) : tokens_(&tokens) {
  std::array<bool, kMarks> used{};
  for (const std::string* text : texts) {
    for (std::size_t at = 0; (at = text->find(kMarkPrefix, at)) != std::string::npos; at += 2) {
      if (at + 2 == text->size()) break;
      const auto mark = static_cast<std::size_t>(static_cast<unsigned char>((*text)[at + 2])) - kFirstMark;
      if (mark < kMarks) used[mark] = true;
    }
    // JSON strings may spell them as escapes.
    for (std::size_t at = 0; (at = text->find("\\u", at)) != std::string::npos; at += 2) {
      const std::uint32_t mark = code_at(*text, at).value_or(0) - kFirstMarkCode;
      if (mark < kMarks) used[mark] = true;
    }
  }
  std::vector<std::string> free;
  for (std::size_t mark = 0; mark < kMarks; ++mark) {
    if (!used[mark]) free.push_back(std::string(kMarkPrefix) + static_cast<char>(kFirstMark + mark));
  }
  if (free.size() < 2) return;
  open_ = free[0];
  close_ = free[1];
}

void TextMarks::put(std::string& text) const {
  if (!tokens_->occur_in(text)) return;
  std::string marked;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = tokens_->length_in_any_case(text, at);
    if (length == 0) {
      marked += text[at++];
      continue;
    }
    marked.append(open_).append(text, at, length).append(close_);
    at += length;
  }
  text = std::move(marked);
}

void TextMarks::put_in_json(std::string& json) const {
  std::string plain = without_escapes(json);
  if (!tokens_->occur_in(plain)) return;
  put(plain);
  json = std::move(plain);
}

TextMarks::Split TextMarks::split(std::string_view rendered) const {
  Split split;
  std::string& text = split.text;
  std::size_t begin = 0;  // beginning of the text between two of the template's tokens
  bool is_marked = false;
  bool strips = false;  // whether the token before it strips white space
  const auto end_segment = [&](bool strips_left) {
    std::size_t end = text.size();
    while (strips && begin < end && is_space(text[begin])) ++begin;
    while (strips_left && begin < end && is_space(text[end - 1])) --end;
    if (is_marked && begin < end) split.plain.emplace_back(begin, end);
  };
  for (std::size_t at = 0; at < rendered.size();) {
    const std::string_view rest = rendered.substr(at);
    if (rest.starts_with(open_) || rest.starts_with(close_)) {
      is_marked = true;
      at += kMarkBytes;
      continue;
    }
    const ControlTokens::Text* token = tokens_->find(rendered, at);
    if (token == nullptr) {
      text += rendered[at++];
      continue;
    }
    // A template may cut a text just before or after a token in it, and put its own token there: only a token
    // between two marks is known to be the text's.
    const bool is_text =
        rendered.substr(0, at).ends_with(open_) && rest.substr(token->bytes.size()).starts_with(close_);
    if (!is_text) end_segment(token->strips_left);
    text += token->bytes;
    at += token->bytes.size();
    if (is_text) continue;
    begin = text.size();
    is_marked = false;
    strips = token->strips_right;
  }
  end_segment(false);
  return split;
}

std::string without_escapes(std::string_view json) {
  std::string plain;
  for (std::size_t at = 0; at < json.size();) {
    if (json[at] != '\\' || at + 1 == json.size()) {
      plain += json[at++];
      continue;
    }
    if (json[at + 1] == '/') {
      plain += '/';
      at += 2;
      continue;
    }
    const auto character = json[at + 1] == 'u' ? unescaped(json, at) : std::nullopt;
    if (character) {
      plain += *character;
      at += 6;
    } else {
      plain.append(json, at, 2);
      at += 2;
    }
  }
  return plain;
}

}  // namespace autoglm::engine
