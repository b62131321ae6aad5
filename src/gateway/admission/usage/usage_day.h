#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::gateway {

/// The time of the calendar, which may jump: usage is kept and limited by it, and nothing waits by it.
using WallTime = std::chrono::system_clock::time_point;
/// Called from any thread.
using WallClock = std::function<WallTime()>;

/// A day of UTC.
using Day = std::chrono::sys_days;

inline Day day_of(WallTime time) { return std::chrono::floor<std::chrono::days>(time); }
/// The first day of the month that has `day`.
Day month_of(Day day);
/// The first day of the month after it.
Day month_after(Day day);

/// "2026-11-30".
std::string to_string(Day day);
/// Nothing: `text` is no day of the years 1970 … 9999 in that form.
std::optional<Day> parse_day(std::string_view text);

}  // namespace autoglm::gateway
