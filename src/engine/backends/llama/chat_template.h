#pragma once

#include "base/result.h"

#include <string>

namespace autoglm::engine {

/// How chats are written, where a model's own template is not to be asked.
struct ChatTemplate {
  std::string source;    ///< Jinja, or a name; empty: the model's own
  bool is_name = false;  ///< of one that the library writes without Jinja, and without tools
};

/// What the configuration calls `said`: one of the library's names, or a file. Errors: kInvalidArgument, with
/// the names.
Result<ChatTemplate> read_chat_template(const std::string& said);

}  // namespace autoglm::engine
