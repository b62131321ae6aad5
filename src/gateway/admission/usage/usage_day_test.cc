#include "gateway/admission/usage/usage_day.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

using namespace std::chrono;

TEST(UsageDay, IsReadAndWritten) {
  for (const char* text : {"1970-01-01", "2024-02-29", "2026-11-30", "9999-12-31"})
    EXPECT_EQ(to_string(parse_day(text).value()), text);
  for (const char* text : {"", "2026-11-31", "2025-02-29", "2026-13-01", "2026-00-10", "2026-1-1",
                           "2026-11-3x", "2026/11/30", "1969-12-31", "2026-11-30 ", "-026-11-30"})
    EXPECT_FALSE(parse_day(text)) << text;
}

TEST(UsageDay, MonthsBeginAndEnd) {
  EXPECT_EQ(month_of(2026y / November / 30), Day(2026y / November / 1));
  EXPECT_EQ(month_after(2026y / January / 31), Day(2026y / February / 1));
  EXPECT_EQ(month_after(2026y / December / 31), Day(2027y / January / 1));
  EXPECT_EQ(day_of(Day(2026y / November / 30) + 23h + 59min + 59s), Day(2026y / November / 30));
}

}  // namespace
}  // namespace autoglm::gateway
