#include "app/chat/conversation.h"

#include "base/json_string.h"

#include <fmt/format.h>

namespace autoglm::app {

std::string Conversation::messages() const {
  std::string list;
  const auto add = [&list](std::string_view role, std::string_view text) {
    list +=
        fmt::format(R"({}{{"role":"{}","content":{}}})", list.empty() ? "" : ",", role, json_string(text));
  };
  if (!system_.empty()) add("system", system_);
  for (const auto& [role, text] : turns_) add(role == Role::kUser ? "user" : "assistant", text);
  return "[" + list + "]";
}

std::string Conversation::markdown(std::string_view model) const {
  std::string out = fmt::format("# A conversation with {}\n", model.empty() ? "the server's model" : model);
  if (!system_.empty()) out += fmt::format("\n## System\n\n{}\n", system_);
  for (const auto& [role, text] : turns_)
    out += fmt::format("\n## {}\n\n{}\n", role == Role::kUser ? "User" : "Assistant", text);
  return out;
}

}  // namespace autoglm::app
