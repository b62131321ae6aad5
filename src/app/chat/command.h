#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::app {

/// A command of a line that begins with a slash.
struct ChatCommand {
  enum class Kind : std::uint8_t { kModel, kSystem, kReset, kSave, kHelp, kExit } kind;
  std::string argument;  ///< may be empty
};

/// Nothing: `message` is for the model, as "/etc/passwd" is, since a command is one word of letters. Errors:
/// an unknown command, with the one that was probably meant.
std::optional<Result<ChatCommand>> read_command(std::string_view message);

/// Completions of `typed`, the beginning of a line: commands, and after `/model` one of `models`.
std::vector<std::string> completions(std::string_view typed, std::span<const std::string> models);

/// A line for each command, and how messages of several lines are written.
std::string_view chat_help();

}  // namespace autoglm::app
