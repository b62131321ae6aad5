#pragma once

#include "app/chat/answer_event.h"
#include "app/chat/chat_client.h"
#include "base/terminal.h"

#include <string>

namespace autoglm::app {

/// What is written of an answer while it comes: text, and dim before it what a model thinks aloud. In a
/// terminal nothing in it can move the cursor; elsewhere the text goes out as it is, and nothing else does.
class AnswerScreen {
 public:
  AnswerScreen(bool terminal, Paint paint) : terminal_(terminal), paint_(paint) {}

  std::string next(const AnswerEvent& event);
  /// The end of the answer's last line.
  std::string end();

 private:
  bool terminal_;
  Paint paint_;
  bool thought_ = false;    // something that is not text stands before it
  bool line_open_ = false;  // something was written, and no newline behind it
};

/// "23 tokens, 46.1 tokens/s, first after 0.21 s": as far as it is known. `stopped`: by whoever asked.
std::string speed_line(const Answer& answer, bool stopped);

}  // namespace autoglm::app
