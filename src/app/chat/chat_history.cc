#include "app/chat/chat_history.h"

#include "base/json_string.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <system_error>

namespace autoglm::app {

namespace {

namespace json = boost::json;

constexpr mode_t kOwnerOnly = S_IRUSR | S_IWUSR;

/// Appends to `path`, or makes it anew; false: it could not be.
bool write_lines(const std::filesystem::path& path, std::string_view lines, int how) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | how, kOwnerOnly);
  if (file < 0) return false;
  // In one write, so that lines of two chats do not mix; a file that was readable for other users is made
  // private.
  const bool written = ::fchmod(file, kOwnerOnly) == 0 &&
                       ::write(file, lines.data(), lines.size()) == static_cast<ssize_t>(lines.size());
  ::close(file);
  return written;
}

std::string line_of(std::string_view entry) { return json_string(entry) + "\n"; }

}  // namespace

std::optional<std::filesystem::path> chat_history_path(
    const std::map<std::string, std::string>& environment) {
  const auto folder = [&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? std::filesystem::path() : std::filesystem::path(found->second);
  };
  const std::filesystem::path state = folder("XDG_STATE_HOME");
  if (state.is_absolute()) return state / "open-autoglm" / "chat_history";
  const std::filesystem::path home = folder("HOME");
  if (!home.is_absolute()) return std::nullopt;
  return home / ".local" / "state" / "open-autoglm" / "chat_history";
}

std::vector<std::string> ChatHistory::load() const {
  std::vector<std::string> entries;
  if (!path_) return entries;
  std::ifstream file(*path_);
  for (std::string line; std::getline(file, line);) {
    boost::system::error_code broken;
    const json::value entry = json::parse(line, broken);
    if (!broken && entry.is_string()) entries.emplace_back(entry.as_string());
  }
  if (entries.size() <= kEntries) return entries;
  const bool many = entries.size() > 2 * kEntries;
  entries.erase(entries.begin(), entries.end() - static_cast<std::ptrdiff_t>(kEntries));
  if (many) {
    std::string lines;
    for (const std::string& entry : entries) lines += line_of(entry);
    const std::filesystem::path fresh = path_->string() + ".fresh";
    std::error_code failed;
    if (write_lines(fresh, lines, O_TRUNC)) std::filesystem::rename(fresh, *path_, failed);
  }
  return entries;
}

void ChatHistory::add(std::string_view entry) const {
  if (!path_ || entry.size() > kLongestEntry) return;
  std::error_code failed;
  // As the base directory specification asks for.
  if (std::filesystem::create_directories(path_->parent_path(), failed))
    std::filesystem::permissions(path_->parent_path(), std::filesystem::perms::owner_all, failed);
  write_lines(*path_, line_of(entry), O_APPEND);
}

}  // namespace autoglm::app
