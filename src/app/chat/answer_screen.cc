#include "app/chat/answer_screen.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>
#include <vector>

namespace autoglm::app {

std::string AnswerScreen::next(const AnswerEvent& event) {
  if (!terminal_) {
    if (!event.content.empty()) line_open_ = true;
    return event.content;
  }
  std::string out;
  if (!event.reasoning.empty()) {
    std::string thought;
    append_printable(thought, event.reasoning, "\n\t");
    out += paint_(Style::kDim, thought);
    thought_ = true;
  }
  if (!event.content.empty()) {
    if (std::exchange(thought_, false)) out += "\n\n";
    append_printable(out, event.content, "\n\t");
  }
  if (!out.empty()) line_open_ = true;
  return out;
}

std::string AnswerScreen::end() {
  thought_ = false;
  return std::exchange(line_open_, false) ? "\n" : "";
}

std::string speed_line(const Answer& answer, bool stopped) {
  std::vector<std::string> parts;
  if (answer.tokens) {
    parts.push_back(fmt::format("{} token{}", *answer.tokens, *answer.tokens == 1 ? "" : "s"));
    const double seconds = to_seconds(answer.last - answer.first);
    // The first token waits for the prompt, and says nothing about the pace of the others.
    if (*answer.tokens > 1 && seconds > 0)
      parts.push_back(fmt::format("{:.1f} tokens/s", (*answer.tokens - 1) / seconds));
  }
  if (answer.first != MonotonicTime())
    parts.push_back(fmt::format("first after {:.2f} s", to_seconds(answer.first - answer.asked)));
  if (stopped) {
    parts.emplace_back("stopped");
  } else if (answer.finish == "length") {
    parts.emplace_back("cut off: no more tokens allowed");
  }
  return parts.empty() ? "" : fmt::format("({})", fmt::join(parts, ", "));
}

}  // namespace autoglm::app
