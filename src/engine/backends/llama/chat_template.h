#pragma once

#include "base/result.h"

#include <string>

namespace autoglm::engine {

/// A chat template that replaces the model's own.
struct ChatTemplate {
  std::string source;    ///< Jinja, or a name; empty: the model's own
  bool is_name = false;  ///< a format that llama.cpp writes without Jinja, and without tools
};

/// Reads the template that the configuration names: one of llama.cpp's names, or a file. Errors:
/// kInvalidArgument, listing the names.
Result<ChatTemplate> read_chat_template(const std::string& said);

}  // namespace autoglm::engine
