#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct llama_vocab;

namespace autoglm::engine {

/// The texts of a vocabulary's control tokens, with which a template writes a conversation's structure.
/// Immutable: thread-safe.
class ControlTokens {
 public:
  explicit ControlTokens(const llama_vocab* vocab);

  struct Text {
    std::string bytes;
    bool strips_left = false;   ///< white space before the token is dropped
    bool strips_right = false;  ///< white space after the token is dropped
  };
  /// The longest control token in `text` at `at`; null: there is none.
  const Text* find(std::string_view text, std::size_t at) const;
  /// The length in bytes of the longest control token at `at`, ignoring case, which a template may change.
  std::size_t length_in_any_case(std::string_view text, std::size_t at) const;
  /// Whether `text` contains a control token, ignoring case.
  bool occur_in(std::string_view text) const;

 private:
  std::vector<Text> texts_;          // sorted
  std::vector<std::string> folded_;  // the same in lower case, sorted
  std::array<bool, 256> begins_{};   // whether one begins with this byte, ignoring case
};

/// Two characters that occur in no text of the conversation: one is put before each piece that looks like a
/// control token, one after it. They pass through the template and show afterwards that the piece was text.
class TextMarks {
 public:
  /// `texts` are all texts of the conversation. There are no marks (`!usable()`) when the texts use every
  /// candidate character.
  TextMarks(const ControlTokens& tokens, const std::vector<std::string*>& texts);
  bool usable() const { return !open_.empty(); }

  /// Puts marks around each control token in `text`.
  void put(std::string& text) const;
  /// The same in JSON text, whose strings may spell characters as escapes.
  void put_in_json(std::string& json) const;

  struct Split {
    std::string text;                                        ///< without marks
    std::vector<std::pair<std::size_t, std::size_t>> plain;  ///< RenderedChat::plain
  };
  /// Removes the marks from what the template has made of marked texts.
  Split split(std::string_view rendered) const;

 private:
  const ControlTokens* tokens_;
  std::string open_;
  std::string close_;
};

/// `json` with every escape replaced by its character where JSON allows the character itself.
std::string without_escapes(std::string_view json);

}  // namespace autoglm::engine
