#include "config/watched_file.h"

#include "config/yaml.h"
#include "runtime/deadline.h"
#include "runtime/event_loop.h"

#include <filesystem>
#include <fstream>
#include <system_error>

namespace autoglm::config {

std::string read_config_text(std::istream& file) {
  std::string text(YamlLimits{}.bytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

std::optional<WatchedFile::Look> WatchedFile::look() const {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path_, error)) return std::nullopt;
  Look look{.stamp = stamp_of(path_), .text = {}};
  std::ifstream file(path_, std::ios::binary);
  if (!look.stamp.exists() || !file) return std::nullopt;
  look.text = read_config_text(file);
  return look;
}

Task<Result<std::string>> WatchedFile::take_when_whole(Duration between, Duration patience) {
  const Deadline deadline = Deadline::after(patience);
  auto found = look();
  while (found && !deadline.passed()) {
    co_await sleep_for(between);
    auto again = look();
    if (again == found) {
      taken(found->stamp);
      co_return std::move(found->text);
    }
    found = std::move(again);
  }
  if (!found) co_return fail(ErrorCode::kInvalidArgument, path_ + ": cannot be read");
  co_return fail(Error{.code = ErrorCode::kUnavailable,
                       .message = path_ + ": is being written to; try again afterwards",
                       .retry_after = std::chrono::seconds(1)});
}

std::optional<std::string> WatchedFile::changed(MonotonicTime now) {
  if (stamp_of(path_) == taken_) {
    found_.reset();
    return std::nullopt;
  }
  auto found = look();
  if (!found || found != found_) {
    found_ = std::move(found);
    since_ = now;
    return std::nullopt;
  }
  if (now - since_ < kQuiet) return std::nullopt;
  taken(found->stamp);
  return std::move(found->text);
}

}  // namespace autoglm::config
