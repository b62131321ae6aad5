#include "observe/log/line.h"

#include "base/byte_words.h"
#include "base/json_string.h"
#include "base/utf8.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <span>

namespace autoglm::observe {

namespace {

void append_string(std::string& out, std::string_view text) {
  if (!byte_words::any(text, byte_words::beyond_ascii)) {
    append_json_string(out, text);
    return;
  }
  std::string valid;
  append_valid_utf8(valid, text);
  append_json_string(out, valid);
}

void append_integer(std::string& out, std::int64_t number) {
  const fmt::format_int digits(number);
  out.append(digits.data(), digits.size());
}

/// As "%.6g" does, for what durations are; 0 digits: for others.
std::size_t short_decimal(double value, std::span<char, 24> buffer) {
  if (value == 0) {
    buffer[0] = '0';
    return 1;
  }
  if (!(value >= 0.0001 && value < 999'999)) return 0;
  int decimals = 5;
  double power = 1e5;
  for (double limit = 10; value >= limit && decimals > 0; limit *= 10, --decimals) power /= 10;
  for (double limit = 1; value < limit && decimals < 9; limit /= 10, ++decimals) power *= 10;
  auto digits = static_cast<std::uint64_t>(std::llround(value * power));
  for (; decimals > 0 && digits % 10 == 0; --decimals) digits /= 10;
  std::size_t begin = buffer.size();
  for (int i = 0; i < decimals || digits > 0 || i == decimals; ++i) {
    if (i == decimals && decimals > 0) buffer[--begin] = '.';
    buffer[--begin] = static_cast<char>('0' + digits % 10);
    digits /= 10;
  }
  std::copy(buffer.begin() + static_cast<std::ptrdiff_t>(begin), buffer.end(), buffer.begin());
  return buffer.size() - begin;
}

void append_value(std::string& out, const LogField::Value& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    append_string(out, *text);
  } else if (const auto* number = std::get_if<std::int64_t>(&value)) {
    append_integer(out, *number);
  } else if (const auto* real = std::get_if<double>(&value)) {
    // JSON has no infinities; %g keeps what a person reads.
    std::array<char, 24> buffer;
    if (const std::size_t length = short_decimal(*real, buffer); length > 0) {
      out.append(buffer.data(), length);
    } else if (std::isfinite(*real)) {
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
  const fmt::format_int digits(micros.count() + 1'000'000);  // the one keeps the zeros
  out += calendar;
  out += '.';
  out.append(digits.data() + 1, digits.size() - 1);
  out += 'Z';
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
    // Keys are words of our code.
    out.append(",\"").append(field.key).append("\":");
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

std::optional<LogLevel> level_of(std::string_view line, LogFormat format) {
  // A time is as long in every line, and the level stands right behind it.
  constexpr std::string_view kTime = "2000-01-01T00:00:00.000000Z";
  constexpr std::string_view kBefore = R"({"timestamp":")";
  constexpr std::string_view kBetween = R"(","level":")";
  const bool json = format == LogFormat::kJson;
  const std::size_t at = json ? kBefore.size() + kTime.size() + kBetween.size() : kTime.size() + 1;
  if (line.size() <= at) return std::nullopt;
  const bool ours = json ? line.starts_with(kBefore) && line.ends_with('}')
                         : line[10] == 'T' && line[kTime.size() - 1] == 'Z';
  if (!ours) return std::nullopt;
  for (const auto level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    if (line.substr(at).starts_with(to_string(level))) return level;
  }
  return std::nullopt;
}

}  // namespace autoglm::observe
