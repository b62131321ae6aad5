#pragma once

#include "observe/log/logger.h"

#include <optional>
#include <string>
#include <string_view>

namespace autoglm::observe {

/// The content of one log line. Its views are valid during the call only.
struct LogLine {
  std::chrono::system_clock::time_point time;
  LogLevel level;
  std::string_view service_name;
  std::string_view message;
  std::string_view trace_id;
  Logger::Fields fields;
  bool colours = false;  ///< for text lines
};

/// Appends `line` without its newline. Bytes that are not UTF-8 are replaced; a text line stays one line.
void append_json_line(std::string& out, const LogLine& line);
/// For people: local time, and no empty fields.
void append_text_line(std::string& out, const LogLine& line);
/// Appends the time as in a text line, then `words` unchanged.
void append_words(std::string& out, std::chrono::system_clock::time_point time, std::string_view words,
                  bool colours);

/// The level of a line written by one of these functions; nothing for any other text.
std::optional<LogLevel> level_of(std::string_view line, LogFormat format);

}  // namespace autoglm::observe
