#include "inference/events.h"

namespace autoglm {

std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kToolCalls:
      return "tool_calls";
  }
  return "stop";
}

Error stream_is_over() { return Error{.code = ErrorCode::kInternal, .message = "the answer is over"}; }

}  // namespace autoglm
