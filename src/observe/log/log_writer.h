#pragma once

#include "observe/log/log_file.h"

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace autoglm::observe {

/// Hands lines to a file on its own thread. Lines gather for some milliseconds and are written together: a
/// wake-up per line would cost a request more than all the rest of its logging. Thread-safe.
class LogWriter {
 public:
  /// At most `limit` lines wait; further lines are dropped and counted.
  LogWriter(std::unique_ptr<LogFile> file, std::size_t limit);
  ~LogWriter();  ///< writes the waiting lines; `file().give_up_at` bounds the time
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// Adds `line`, which ends without a newline. Does not wait for the file.
  void add(std::string_view line);

  LogFile& file() { return *file_; }
  /// Lines that were dropped, or that the file could not take.
  std::uint64_t lost() const;

 private:
  void run();

  const std::unique_ptr<LogFile> file_;
  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::string lines_;
  std::size_t count_ = 0;  // lines in `lines_`
  std::uint64_t dropped_ = 0;
  bool asleep_ = false;  // until there is a line
  bool closed_ = false;
  std::thread thread_;
};

}  // namespace autoglm::observe
