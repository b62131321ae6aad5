#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct llama_vocab;

namespace autoglm::engine {

/// The texts of a vocabulary's control tokens, those in which a template writes a conversation's structure.
/// Immutable: thread-safe.
class ControlTokens {
 public:
  explicit ControlTokens(const llama_vocab* vocab);

  struct Text {
    std::string bytes;
    bool strips_left = false;   ///< white space before it is no text
    bool strips_right = false;  ///< likewise behind it
  };
  /// The longest one that stands in `text` at `at`; null: none does.
  const Text* find(std::string_view text, std::size_t at) const;
  /// Bytes of the longest one that stands there in whatever case of letters, since a template may change
  /// that.
  std::size_t length_in_any_case(std::string_view text, std::size_t at) const;
  /// Whether one stands anywhere in `text`, in whatever case.
  bool occur_in(std::string_view text) const;

 private:
  std::vector<Text> texts_;          // sorted
  std::vector<std::string> folded_;  // the same in small letters, sorted
  std::array<bool, 256> begins_{};   // whether one begins with this byte, in whatever case
};

/// Two characters that no text of a conversation has in it: one stands before what looks like a control token
/// there, one behind. They go through the template with it, and say afterwards who wrote it.
class TextMarks {
 public:
  /// `texts` are all that the conversation says. Without a mark (`!usable()`) when they use every character
  /// that could be one.
  TextMarks(const ControlTokens& tokens, const std::vector<std::string*>& texts);
  bool usable() const { return !open_.empty(); }

  /// Puts marks around each control token in `text`.
  void put(std::string& text) const;
  /// The same in a text of JSON, whose strings may spell characters as escapes.
  void put_in_json(std::string& json) const;

  struct Split {
    std::string text;                                        ///< without marks
    std::vector<std::pair<std::size_t, std::size_t>> plain;  ///< RenderedChat::plain
  };
  /// Takes the marks off what the template has made of marked texts.
  Split split(std::string_view rendered) const;

 private:
  const ControlTokens* tokens_;
  std::string open_;
  std::string close_;
};

/// `json` with every escape that stands for a character of its own written as that character.
std::string without_escapes(std::string_view json);

}  // namespace autoglm::engine
