#pragma once

#include "observe/log/logger.h"

#include <chrono>
#include <string>
#include <string_view>

namespace autoglm::observe {

/// What all lines of a log have in common.
struct LineStyle {
  LogFormat format = LogFormat::kJson;
  bool colours = false;  ///< for text
  std::string service_name;
  std::string process_trace_id;  ///< for lines that belong to no request
};

/// The place of a line that is laid out now, with its time and level. One of `fields` and `words` is called,
/// once. Belongs to the caller of the layout, and is valid during that call.
class NotedLine {
 public:
  /// Appends the line to `out`, without a newline.
  NotedLine(const LineStyle& style, std::chrono::system_clock::time_point time, LogLevel level,
            std::string& out)
      : style_(style), time_(time), level_(level), out_(out) {}

  LogFormat format() const { return style_.format; }
  bool colours() const { return style_.colours; }
  /// As `Logger::log`.
  void fields(std::string_view message, Logger::Fields fields, std::string_view trace_id);
  /// As `Logger::words`.
  void words(std::string_view words);

 private:
  const LineStyle& style_;
  std::chrono::system_clock::time_point time_;
  LogLevel level_;
  std::string& out_;
};

}  // namespace autoglm::observe
