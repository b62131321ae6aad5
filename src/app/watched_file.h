#pragma once

#include "app/file_stamp.h"
#include "base/clock.h"
#include "base/result.h"
#include "runtime/task.h"

#include <istream>
#include <optional>
#include <string>
#include <utility>

namespace autoglm::app {

/// The text of a configuration, up to a byte more than one may have: whatever is longer is refused for that.
std::string read_config_text(std::istream& file);

/// A file that others write to, in place perhaps: half of it is no news. Not thread-safe.
class WatchedFile {
 public:
  /// Without a change, before it is taken for whole: writers in place pause, and nobody has announced it.
  static constexpr Duration kQuiet = std::chrono::seconds(2);

  /// What it holds now has been dealt with.
  explicit WatchedFile(std::string path) : path_(std::move(path)) { taken(stamp_of(path_)); }

  /// The text, of a file that is another one than was dealt with, when all looks since `kQuiet` ago have
  /// found the same; once. A file that is gone is not news.
  std::optional<std::string> changed(MonotonicTime now);
  /// For somebody who says that it is another one: the text, when two looks `between` apart have found the
  /// same; it has been dealt with then. Errors: it cannot be read; it changes all the time, for `patience`.
  Task<Result<std::string>> take_when_whole(Duration between, Duration patience);

 private:
  /// What a look at a file found.
  struct Look {
    FileStamp stamp;  // from before it was read: what is written meanwhile is another stamp
    std::string text;
    bool operator==(const Look&) const = default;
  };

  /// The file as it is. Nothing when it cannot be read, or is none: a pipe would keep us waiting.
  std::optional<Look> look() const;
  void taken(const FileStamp& stamp) {
    taken_ = stamp;
    found_.reset();
  }

  std::string path_;
  FileStamp taken_;
  std::optional<Look> found_;  // which may go on changing
  MonotonicTime since_;
};

}  // namespace autoglm::app
