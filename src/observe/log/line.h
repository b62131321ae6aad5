#pragma once

#include "observe/log/logger.h"

#include <optional>
#include <string>
#include <string_view>

namespace autoglm::observe {

/// What one line says. Views are valid during the call only.
struct LogLine {
  std::chrono::system_clock::time_point time;
  LogLevel level;
  std::string_view service_name;
  std::string_view message;
  std::string_view trace_id;
  Logger::Fields fields;
  bool colours = false;  ///< of a text line
};

/// Appends `line` without its newline. Bytes that are not UTF-8 are replaced; a text line stays one line.
void append_json_line(std::string& out, const LogLine& line);
/// For people: local time, and nothing about fields that are empty.
void append_text_line(std::string& out, const LogLine& line);
/// The time of a text line, and behind it `words` as they are.
void append_words(std::string& out, std::chrono::system_clock::time_point time, std::string_view words,
                  bool colours);

/// The level of a line that one of these has written; nothing for any other text.
std::optional<LogLevel> level_of(std::string_view line, LogFormat format);

}  // namespace autoglm::observe
