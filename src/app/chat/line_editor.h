#pragma once

#include "base/terminal.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::app {

/// Reads lines from the terminal on standard input, with editing, history and completion. The only type that
/// knows libedit. One at a time, on the main thread; while it does not read, the terminal is in its former
/// state.
class LineEditor {
 public:
  /// Completions of the beginning of a line.
  using Completer = std::function<std::vector<std::string>(std::string_view typed)>;

  LineEditor(Paint paint, Completer completer);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class End : std::uint8_t {
    kLine,         ///< `text` is a line, or several when pasted or with Alt-Enter
    kInterrupted,  ///< Ctrl-C: `text` was dropped
    kEnd,          ///< Ctrl-D, a terminal that went away, or a signal to end
  };
  struct Line {
    End end;
    std::string text;
  };
  Line read(std::string_view prompt);

  /// Adds a line to those that arrow up and Ctrl-R find.
  void remember(const std::string& text);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace autoglm::app
