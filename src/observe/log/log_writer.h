#pragma once

#include "observe/log/log_file.h"
#include "observe/log/noted_line.h"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>

namespace autoglm::observe {

/// Hands lines to a file on its own thread. Lines gather for some milliseconds and are written together: a
/// wake-up per line would cost a request more than all the rest of its logging. A line that arrives as facts
/// is laid out on that thread, too. Lines keep the order in which they were added. Thread-safe.
class LogWriter {
 public:
  /// At most `limit` lines wait; further lines are dropped and counted.
  LogWriter(std::unique_ptr<LogFile> file, std::size_t limit, LineStyle style);
  ~LogWriter();  ///< writes the waiting lines; `file().give_up_at` bounds the time
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  /// A line as it is added: a head, then `size` bytes.
  struct Entry {
    NoteLayout layout = nullptr;  ///< null: the bytes are the line, without a newline
    std::chrono::system_clock::time_point time = {};
    LogLevel level = LogLevel::kInfo;
    std::size_t size = 0;  ///< set by `add`
  };
  /// Adds a line whose bytes are `parts` in their order. Does not wait for the file. A line for which there
  /// is no memory is dropped and counted.
  void add(Entry entry, std::span<const std::string_view> parts) noexcept;
  void add(std::string_view line) noexcept { add({}, {&line, 1}); }

  const LineStyle& style() const { return style_; }
  LogFile& file() { return *file_; }
  /// Lines that were dropped, or that the file could not take.
  std::uint64_t lost() const;

 private:
  void run();
  void write(std::string_view entries);
  void lay_out(const Entry& entry, std::string_view bytes);

  const std::unique_ptr<LogFile> file_;
  const std::size_t limit_;
  const LineStyle style_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::string entries_;
  std::size_t count_ = 0;  // in `entries_`
  std::uint64_t dropped_ = 0;
  bool asleep_ = false;  // until there is a line
  bool closed_ = false;
  std::string text_;  // of the log's thread: laid out, not yet written
  std::thread thread_;
};

}  // namespace autoglm::observe
