#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace autoglm::observe {

/// The destination of log lines: a file, or standard error. One thread writes the lines; everything else may
/// be called from any thread. A reader that has stopped reading (a full pipe) blocks the writing thread, but
/// only until `give_up_at` has passed.
class LogFile {
 public:
  /// Opens `path` for appending and makes its folders; empty: standard error.
  static Result<std::unique_ptr<LogFile>> open(std::string path);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  /// Opens the path again: after a rotation has renamed the file, further lines go to a new file. On failure
  /// they still go to the old file. Does nothing for standard error.
  Result<void> reopen();

  /// From `deadline` on, a line that cannot be written at once is lost.
  void give_up_at(MonotonicTime deadline) { deadline_.store(deadline, std::memory_order_relaxed); }
  /// Lines that could not be written: the disk was full, or the deadline had passed.
  std::uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

  /// Writes whole lines, each with its newline. Lines that cannot be written are counted.
  void write(std::string_view lines);

 private:
  LogFile(std::string path, int descriptor);
  std::string_view write_some(std::string_view lines);
  bool wait_writable() const;

  std::string path_;
  int descriptor_;
  std::atomic<MonotonicTime> deadline_{MonotonicTime::max()};
  std::atomic<std::uint64_t> lost_{0};
};

}  // namespace autoglm::observe
