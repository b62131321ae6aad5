#pragma once

#include "app/chat/answer_event.h"
#include "app/chat/chat_client.h"
#include "base/terminal.h"

#include <string>

namespace autoglm::app {

/// The output for an answer while it arrives: the text, after the model's reasoning, which is dim. In a
/// terminal nothing in it can move the cursor; elsewhere the text alone goes out, unchanged.
class AnswerScreen {
 public:
  AnswerScreen(bool terminal, Paint paint) : terminal_(terminal), paint_(paint) {}

  std::string next(const AnswerEvent& event);
  /// The end of the answer's last line.
  std::string end();

 private:
  bool terminal_;
  Paint paint_;
  bool thought_ = false;    // reasoning was written before the text
  bool line_open_ = false;  // something was written without a newline after it
};

/// "23 tokens, 46.1 tokens/s, first after 0.21 s": as far as known. `stopped`: the user stopped the answer.
std::string speed_line(const Answer& answer, bool stopped);

}  // namespace autoglm::app
