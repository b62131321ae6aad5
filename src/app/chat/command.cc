#include "app/chat/command.h"

#include "base/suggest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace autoglm::app {

namespace {

using Kind = ChatCommand::Kind;

constexpr auto kCommands = std::to_array<std::pair<std::string_view, Kind>>({{"/model", Kind::kModel},
                                                                             {"/system", Kind::kSystem},
                                                                             {"/reset", Kind::kReset},
                                                                             {"/save", Kind::kSave},
                                                                             {"/help", Kind::kHelp},
                                                                             {"/exit", Kind::kExit},
                                                                             {"/quit", Kind::kExit}});

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool is_letter(char c) { return c >= 'a' && c <= 'z'; }

}  // namespace

std::optional<Result<ChatCommand>> read_command(std::string_view message) {
  if (!message.starts_with('/') || message.contains('\n')) return std::nullopt;
  const std::string_view word = message.substr(0, std::min(message.find_first_of(" \t"), message.size()));
  if (word.size() < 2 || !std::ranges::all_of(word.substr(1), is_letter)) return std::nullopt;
  const auto found = std::ranges::find(kCommands, word, [](const auto& command) { return command.first; });
  if (found != kCommands.end())
    return ChatCommand{.kind = found->second, .argument = std::string(trimmed(message.substr(word.size())))};
  std::vector<std::string> names;
  for (const auto& [name, kind] : kCommands) names.emplace_back(name);
  const auto meant = nearest(word, names);
  return fail(
      ErrorCode::kInvalidArgument,
      fmt::format("there is no command {}{}; /help lists them. To say it to the model, begin with a space",
                  word, meant ? fmt::format(", did you mean {}?", *meant) : ""));
}

std::vector<std::string> completions(std::string_view typed, std::span<const std::string> models) {
  std::vector<std::string> found;
  constexpr std::string_view kModel = "/model ";
  if (typed.starts_with(kModel)) {
    for (const std::string& model : models)
      if (model.starts_with(typed.substr(kModel.size()))) found.push_back(std::string(kModel) + model);
    return found;
  }
  if (!typed.starts_with('/')) return found;
  for (const auto& [name, kind] : kCommands)
    if (name.starts_with(typed)) found.emplace_back(name);
  return found;
}

std::string_view chat_help() {
  return R"(  /model [NAME]    list the server's models, or go on with another one
  /system [TEXT]   show or change what the model is told first; none: nothing
  /reset           begin a new conversation
  /save [FILE]     write what was said: as Markdown, or messages in a .json
  /help            this
  /exit            end; so does Ctrl-D

  Several lines: end one with \, or begin with """ and end with """, or press
  Alt-Enter, or paste them.
  Ctrl-C stops an answer, or drops what was typed. Ctrl-R searches earlier
  messages. Tab completes commands.
)";
}

}  // namespace autoglm::app
