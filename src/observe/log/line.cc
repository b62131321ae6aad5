#include "observe/log/line.h"

#include "base/json_string.h"
#include "base/terminal.h"
#include "base/utf8.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>

namespace autoglm::observe {

namespace {

/// Writes into reserved memory: a line has a hundred pieces, and a string would check its capacity at each.
class Pen {
 public:
  explicit Pen(char* at) : at_(at) {}

  void put(char c) { *at_++ = c; }
  void put(std::string_view text) {
    const std::size_t size = text.size();
    if (size > 16) {
      std::memcpy(at_, text.data(), size);
    } else if (size >= 8) {  // two halves that may overlap: no call and no loop
      put_ends<std::uint64_t>(text);
    } else if (size >= 4) {
      put_ends<std::uint32_t>(text);
    } else {
      for (std::size_t i = 0; i < size; ++i) at_[i] = text[i];
    }
    at_ += size;
  }
  char* at() const { return at_; }

 private:
  template <class Word>
  void put_ends(std::string_view text) {
    Word first;
    Word last;
    std::memcpy(&first, text.data(), sizeof(Word));
    std::memcpy(&last, text.data() + text.size() - sizeof(Word), sizeof(Word));
    std::memcpy(at_, &first, sizeof(Word));
    std::memcpy(at_ + text.size() - sizeof(Word), &last, sizeof(Word));
  }

  char* at_;
};

constexpr std::size_t kLongestNumber = 32;
constexpr std::size_t kLongestEscape = 6;  // a byte as \u0000; an invalid UTF-8 byte becomes three bytes

std::size_t longest_string(std::string_view text) { return 2 + kLongestEscape * text.size(); }

void put_string(Pen& pen, std::string_view text) {
  if (is_plain_json(text)) {
    pen.put('"');
    pen.put(text);
    pen.put('"');
    return;
  }
  std::string valid;
  append_valid_utf8(valid, text);
  pen.put(json_string(valid));
}

/// Formats like "%.6g" the values that durations have; returns 0 digits for all others.
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

void put_value(Pen& pen, const LogField::Value& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    put_string(pen, *text);
  } else if (const auto* number = std::get_if<std::int64_t>(&value)) {
    const fmt::format_int digits(*number);
    pen.put(std::string_view(digits.data(), digits.size()));
  } else if (const auto* real = std::get_if<double>(&value)) {
    // JSON has no infinities; %g keeps the digits that matter to a person.
    std::array<char, 24> buffer;
    if (const std::size_t length = short_decimal(*real, buffer); length > 0) {
      pen.put(std::string_view(buffer.data(), length));
    } else {
      pen.put(std::isfinite(*real) ? fmt::format("{:.6g}", *real) : "null");
    }
  } else {
    pen.put(std::get<bool>(value) ? "true" : "false");
  }
}

std::size_t longest_value(const LogField::Value& value) {
  const auto* text = std::get_if<std::string_view>(&value);
  return text != nullptr ? longest_string(*text) : kLongestNumber;
}

/// Appends what `write(Pen&)` writes, at most `room` bytes.
template <class Write>
void append_by_pen(std::string& out, std::size_t room, const Write& write) {
  const std::size_t begin = out.size();
  out.resize_and_overwrite(begin + room, [&](char* bytes, std::size_t /*size*/) {
    Pen pen(bytes + begin);
    write(pen);
    return static_cast<std::size_t>(pen.at() - bytes);
  });
}

constexpr std::string_view kTimeShape = "2000-01-01T00:00:00.000000Z";

void put_time(Pen& pen, std::chrono::system_clock::time_point time) {
  const auto since_epoch = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch - seconds);
  // Lines come in bursts, and formatting the date is most of the cost of a line.
  thread_local std::chrono::sys_seconds shown = std::chrono::sys_seconds::min();
  thread_local std::string calendar;
  if (shown != std::chrono::sys_seconds(seconds)) {
    shown = std::chrono::sys_seconds(seconds);
    calendar =
        fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(std::chrono::system_clock::time_point(seconds)));
  }
  const fmt::format_int digits(micros.count() + 1'000'000);  // the added million keeps leading zeros
  pen.put(calendar);
  pen.put('.');
  pen.put(std::string_view(digits.data() + 1, digits.size() - 1));
  pen.put('Z');
}

/// "11-29 14:03:07" in the process's time zone, for people at a terminal.
const std::string& local_time(std::chrono::system_clock::time_point time) {
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  thread_local std::chrono::sys_seconds shown = std::chrono::sys_seconds::min();
  thread_local std::string calendar;
  if (shown != second) {
    shown = second;
    calendar = fmt::format("{:%m-%d %H:%M:%S}", fmt::localtime(std::chrono::system_clock::to_time_t(second)));
  }
  return calendar;
}
constexpr std::string_view kLocalTimeShape = "11-29 14:03:07";

Style style_of(LogLevel level) { return level == LogLevel::kError ? Style::kRed : Style::kYellow; }

bool is_empty(const LogField::Value& value) {
  const auto* text = std::get_if<std::string_view>(&value);
  return text != nullptr && text->empty();
}

}  // namespace

void append_json_line(std::string& out, const LogLine& line) {
  std::size_t room =
      256 + longest_string(line.service_name) + longest_string(line.message) + longest_string(line.trace_id);
  for (const LogField& field : line.fields) room += field.key.size() + 4 + longest_value(field.value);
  append_by_pen(out, room, [&](Pen& pen) {
    pen.put(R"({"timestamp":")");
    put_time(pen, line.time);
    pen.put(R"(","level":")");
    pen.put(to_string(line.level));
    pen.put(R"(","service_name":)");
    put_string(pen, line.service_name);
    pen.put(R"(,"message":)");
    put_string(pen, line.message);
    pen.put(R"(,"trace_id":)");
    put_string(pen, line.trace_id);
    for (const LogField& field : line.fields) {
      // Keys are words of our code and need no escapes.
      pen.put(",\"");
      pen.put(field.key);
      pen.put("\":");
      put_value(pen, field.value);
    }
    pen.put('}');
  });
}

void append_words(std::string& out, std::chrono::system_clock::time_point time, std::string_view words,
                  bool colours) {
  out += Paint(colours)(Style::kDim, local_time(time));
  out += ' ';
  out += words;
}

void append_text_line(std::string& out, const LogLine& line) {
  const Paint paint(line.colours);
  const std::string level = fmt::format("{:<7}", to_string(line.level));
  append_words(out, line.time, line.level >= LogLevel::kWarning ? paint(style_of(line.level), level) : level,
               line.colours);
  out += ' ';
  // A newline in a message would let input forge lines; an escape sequence could change the terminal.
  append_printable(out, line.message);
  for (const LogField& field : line.fields) {
    if (is_empty(field.value)) continue;
    fmt::format_to(std::back_inserter(out), " {}", paint(Style::kDim, fmt::format("{}=", field.key)));
    append_by_pen(out, longest_value(field.value), [&](Pen& pen) { put_value(pen, field.value); });
  }
  if (!line.trace_id.empty()) {
    std::string trace = " trace_id=";
    append_by_pen(trace, longest_string(line.trace_id), [&](Pen& pen) { put_string(pen, line.trace_id); });
    out += paint(Style::kDim, trace);
  }
}

std::optional<LogLevel> level_of(std::string_view line, LogFormat format) {
  // Times have the same length in every line, and the level comes right after them.
  constexpr std::string_view kBefore = R"({"timestamp":")";
  constexpr std::string_view kBetween = R"(","level":")";
  const bool json = format == LogFormat::kJson;
  const std::size_t at =
      json ? kBefore.size() + kTimeShape.size() + kBetween.size() : kLocalTimeShape.size() + 1;
  if (line.size() <= at) return std::nullopt;
  const bool ours = json ? line.starts_with(kBefore) && line.ends_with('}')
                         : line[2] == '-' && line[5] == ' ' && line[8] == ':' && line[11] == ':';
  if (!ours) return std::nullopt;
  for (const auto level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    if (line.substr(at).starts_with(to_string(level))) return level;
  }
  return std::nullopt;
}

}  // namespace autoglm::observe
