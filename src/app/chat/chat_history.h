#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::app {

/// Where earlier messages are kept: in $XDG_STATE_HOME, else in ~/.local/state; nowhere without a home.
std::optional<std::filesystem::path> chat_history_path(const std::map<std::string, std::string>& environment);

/// Earlier messages in a file, a JSON string a line, readable for its owner only. Each message is appended at
/// once, so that parallel chats, and one that is killed, lose none. When the file cannot be written, the chat
/// goes on and none are kept.
class ChatHistory {
 public:
  static constexpr std::size_t kEntries = 1000;
  static constexpr std::size_t kLongestEntry = std::size_t{64} * 1024;

  explicit ChatHistory(std::optional<std::filesystem::path> path) : path_(std::move(path)) {}

  /// The newest `kEntries`, oldest first; a file that has many more is cut down to them.
  std::vector<std::string> load() const;
  void add(std::string_view entry) const;

 private:
  std::optional<std::filesystem::path> path_;
};

}  // namespace autoglm::app
