#pragma once

#include "config/file_stamp.h"
#include "base/clock.h"
#include "base/result.h"
#include "runtime/task.h"

#include <istream>
#include <optional>
#include <string>
#include <utility>

namespace autoglm::config {

/// The text of a configuration, up to one byte more than is allowed: a longer one is refused for its size.
std::string read_config_text(std::istream& file);

/// A file that other programs write to, perhaps in place: a half-written file does not count as changed. Not
/// thread-safe.
class WatchedFile {
 public:
  /// How long an unannounced change must rest before the file counts as complete: in-place writers pause.
  static constexpr Duration kQuiet = std::chrono::seconds(2);

  /// Its present content counts as handled.
  explicit WatchedFile(std::string path) : path_(std::move(path)) { taken(stamp_of(path_)); }

  /// The text of a file that has changed since it was handled, once, when all looks since `kQuiet` ago found
  /// the same. A file that is gone does not count as changed.
  std::optional<std::string> changed(MonotonicTime now);
  /// For an announced change: the text, when two looks `between` apart have found the same; it then counts as
  /// handled. Errors: it cannot be read; it kept changing for `patience`.
  Task<Result<std::string>> take_when_whole(Duration between, Duration patience);

 private:
  /// What a look at a file found.
  struct Look {
    FileStamp stamp;  // from before it was read: a write meanwhile changes the stamp
    std::string text;
    bool operator==(const Look&) const = default;
  };

  /// The file's present content. Nothing when it cannot be read, or is no regular file: a pipe would block.
  std::optional<Look> look() const;
  void taken(const FileStamp& stamp) {
    taken_ = stamp;
    found_.reset();
  }

  std::string path_;
  FileStamp taken_;
  std::optional<Look> found_;  // which may still change
  MonotonicTime since_;
};

}  // namespace autoglm::config
