#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::app {

/// What a line that begins with a slash asks of the program.
struct ChatCommand {
  enum class Kind : std::uint8_t { kModel, kSystem, kReset, kSave, kHelp, kExit } kind;
  std::string argument;  ///< may be empty
};

/// Nothing: `message` is for the model. "/etc/passwd" is: a command is one word of letters. Errors: an
/// unknown command, and the one that was probably meant.
std::optional<Result<ChatCommand>> read_command(std::string_view message);

/// What `typed`, the beginning of a line, may become: commands, and behind `/model` one of `models`.
std::vector<std::string> completions(std::string_view typed, std::span<const std::string> models);

/// A line for each command, and how messages of several lines are written.
std::string_view chat_help();

}  // namespace autoglm::app
