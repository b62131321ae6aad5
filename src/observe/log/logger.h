#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace autoglm::observe {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError };
std::string_view to_string(LogLevel level);

enum class LogFormat : std::uint8_t {
  kJson,  ///< one object per line
  kText,  ///< for a person at a terminal
};

/// An additional field of a line.
struct LogField {
  using Value = std::variant<std::string_view, std::int64_t, double, bool>;

  LogField(std::string_view name, std::string_view value) : key(name), value(value) {}
  LogField(std::string_view name, const char* value) : key(name), value(std::string_view(value)) {}
  LogField(std::string_view name, const std::string& value) : key(name), value(std::string_view(value)) {}
  LogField(std::string_view name, bool flag) : key(name), value(flag) {}
  LogField(std::string_view name, double number) : key(name), value(number) {}
  template <std::integral T>
  LogField(std::string_view name, T number) : key(name), value(static_cast<std::int64_t>(number)) {}

  std::string_view key;
  Value value;
};

class NotedLine;
/// Lays out a line from `facts`, the bytes that `Logger::note` was given. Called once, on the log's thread,
/// at any later time: it may use `facts` and constants only.
using NoteLayout = void (*)(std::string_view facts, NotedLine& line);

/// Writes lines of `timestamp level service_name message trace_id` and further fields, to a file or to
/// standard error, on its own thread. A caller hands over its line, or with `note` the facts of a line; when
/// the bounded queue is full, the line is dropped and counted: logging never makes a request wait for a disk.
/// A process that ends without its destructors loses what it logged within the last milliseconds.
/// Thread-safe.
class Logger {
 public:
  struct Options {
    LogLevel level = LogLevel::kInfo;
    LogFormat format = LogFormat::kJson;
    bool colours = false;  ///< for text
    std::string file;      ///< empty: standard error
    std::size_t queue_lines = 8192;
    std::string service_name = "open-autoglm";
    std::string process_trace_id;                      ///< for lines that belong to no request
    Duration flush_timeout = std::chrono::seconds(2);  ///< how long the destructor waits for a reader
  };

  /// How many lines there were of each kind.
  struct Counts {
    std::uint64_t by_level[4] = {};
    std::uint64_t without_trace_id = 0;
    std::uint64_t dropped = 0;  ///< by a full queue or a full disk
  };

  /// Errors: the file cannot be opened.
  static Result<std::unique_ptr<Logger>> create(Options options);
  ~Logger();  ///< writes the waiting lines, within `flush_timeout`
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  using Fields = std::initializer_list<LogField>;
  void debug(std::string_view message, Fields fields = {}, std::string_view trace_id = {}) {
    log(LogLevel::kDebug, message, fields, trace_id);
  }
  void info(std::string_view message, Fields fields = {}, std::string_view trace_id = {}) {
    log(LogLevel::kInfo, message, fields, trace_id);
  }
  void warning(std::string_view message, Fields fields = {}, std::string_view trace_id = {}) {
    log(LogLevel::kWarning, message, fields, trace_id);
  }
  void error(std::string_view message, Fields fields = {}, std::string_view trace_id = {}) {
    log(LogLevel::kError, message, fields, trace_id);
  }
  void log(LogLevel level, std::string_view message, Fields fields, std::string_view trace_id);

  /// A line of text that the caller has laid out: the time, then `words`. The caller ensures that `words`
  /// cannot break the line or change what a terminal shows, except as intended. Only when `format()` is text.
  void words(LogLevel level, std::string_view words);

  /// A line with a trace id that `layout` lays out later, from the bytes of `facts` in their order: its
  /// caller pays for the copy of these bytes only. For lines that every request has.
  void note(LogLevel level, NoteLayout layout, std::span<const std::string_view> facts) noexcept;

  /// Writes a line, unchanged, that the logger of another of our processes has made in the same format.
  /// False: `line` is not such a line.
  bool relay(std::string_view line);

  bool enabled(LogLevel level) const { return level >= level_.load(std::memory_order_relaxed); }
  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }
  Counts counts() const;
  LogFormat format() const { return options_.format; }
  bool colours() const { return options_.colours; }

  /// Opens a new file after a rotation has renamed the old one; on failure, stays with the old file.
  Result<void> reopen();

 private:
  struct State;
  explicit Logger(Options options, std::unique_ptr<State> state);
  template <class Write>
  void add(LogLevel level, const Write& write);
  void count(LogLevel level);

  Options options_;
  std::atomic<LogLevel> level_;
  std::unique_ptr<State> state_;
};

}  // namespace autoglm::observe
