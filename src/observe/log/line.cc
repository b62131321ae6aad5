#include "observe/log/line.h"

#include "base/json_string.h"
#include "base/utf8.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>

namespace autoglm::observe {

namespace {

void append_string(std::string& out, std::string_view text) {
  if (std::ranges::all_of(text, [](char c) { return c >= 0; })) {
    append_json_string(out, text);
    return;
  }
  std::string valid;
  append_valid_utf8(valid, text);
  append_json_string(out, valid);
}

void append_value(std::string& out, const LogField::Value& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    append_string(out, *text);
  } else if (const auto* number = std::get_if<std::int64_t>(&value)) {
    fmt::format_to(std::back_inserter(out), "{}", *number);
  } else if (const auto* real = std::get_if<double>(&value)) {
    // JSON has no infinities; %g keeps what a person reads.
    if (std::isfinite(*real)) {
      fmt::format_to(std::back_inserter(out), "{:.6g}", *real);
    } else {
      out += "null";
    }
  } else {
    out += std::get<bool>(value) ? "true" : "false";
  }
}

void append_time(std::string& out, std::chrono::system_clock::time_point time) {
  const auto since_epoch = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch - seconds);
  // Lines come in crowds, and the calendar is most of what a line costs.
  thread_local std::chrono::sys_seconds shown = std::chrono::sys_seconds::min();
  thread_local std::string calendar;
  if (shown != std::chrono::sys_seconds(seconds)) {
    shown = std::chrono::sys_seconds(seconds);
    calendar =
        fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(std::chrono::system_clock::time_point(seconds)));
  }
  fmt::format_to(std::back_inserter(out), "{}.{:06}Z", calendar, micros.count());
}

}  // namespace

void append_json_line(std::string& out, const LogLine& line) {
  out += R"({"timestamp":")";
  append_time(out, line.time);
  out += R"(","level":")";
  out += to_string(line.level);
  out += R"(","service_name":)";
  append_string(out, line.service_name);
  out += R"(,"message":)";
  append_string(out, line.message);
  out += R"(,"trace_id":)";
  append_string(out, line.trace_id);
  for (const LogField& field : line.fields) {
    out += ',';
    append_string(out, field.key);
    out += ':';
    append_value(out, field.value);
  }
  out += '}';
}

void append_text_line(std::string& out, const LogLine& line) {
  append_time(out, line.time);
  fmt::format_to(std::back_inserter(out), " {:<7} ", to_string(line.level));
  // A newline in a message would let input forge lines, an escape sequence what the terminal shows.
  std::string valid;
  append_valid_utf8(valid, line.message);
  for (const char c : valid) out += (c >= 0 && c < 0x20) || c == 0x7f ? ' ' : c;
  for (const LogField& field : line.fields) {
    fmt::format_to(std::back_inserter(out), " {}=", field.key);
    append_value(out, field.value);
  }
  if (!line.trace_id.empty()) {
    out += " trace_id=";
    append_string(out, line.trace_id);
  }
}

}  // namespace autoglm::observe
