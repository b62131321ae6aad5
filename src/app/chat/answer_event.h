#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::app {

/// What one event of a streamed chat adds.
struct AnswerEvent {
  std::string content;
  std::string reasoning;                ///< of models that think aloud
  std::string finish;                   ///< "stop", "length", …; empty: the answer goes on
  std::optional<std::uint32_t> tokens;  ///< of the whole answer, with the usage
};

/// Reads the data of a server-sent event; nothing for the last one, "[DONE]". Errors: the server's own, or
/// that this is no event.
Result<std::optional<AnswerEvent>> read_answer_event(std::string_view data);

/// The data of the first whole event in `buffer`, which is taken out; nothing: more bytes are needed. Events
/// without data (comments) are skipped.
std::optional<std::string> take_event(std::string& buffer);

/// The error in the body of an answer that has this status.
Error read_failure(int status, std::string_view body, std::string_view retry_after);

}  // namespace autoglm::app
