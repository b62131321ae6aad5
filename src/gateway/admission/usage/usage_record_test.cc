#include "gateway/admission/usage/usage_record.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

UsageRecord sample() {
  return {.time = std::chrono::sys_time<std::chrono::milliseconds>(1'796'083'200'123ms),
          .request_id = "req-1",
          .key = "mobile",
          .tenant = "手机",
          .group = "apps",
          .model = "qwen-72b",
          .prompt_tokens = 4'000'000'000U,
          .cached_tokens = 127,
          .completion_tokens = 128,
          .cost = 18'446'744'073'709'551'615U,
          .outcome = UsageOutcome::kComplete};
}

TEST(UsageRecord, ComesBackAsItWas) {
  UsageRecord of_a_fallback = sample();
  of_a_fallback.asked = "gpt-5";
  for (const UsageRecord& record : {sample(), of_a_fallback, UsageRecord{}})
    EXPECT_EQ(read_usage_record(to_bytes(record)).value(), record);
  EXPECT_LT(to_bytes(sample()).size(), 80U);
}

TEST(UsageRecord, APartOfOneIsNone) {
  const std::string whole = to_bytes(sample());
  const std::size_t first_format = whole.size() - 1;  // it did not have the model that was asked
  for (std::size_t size = 0; size < first_format; ++size) {
    const auto read = read_usage_record(std::string_view(whole).substr(0, size));
    ASSERT_FALSE(read) << size;
    EXPECT_EQ(read.error().code, ErrorCode::kDataLoss);
  }
  EXPECT_EQ(read_usage_record(std::string_view(whole).substr(0, first_format)).value(), sample());
}

TEST(UsageRecord, LaterFieldsAreIgnoredAndLaterVersionsRefused) {
  std::string bytes = to_bytes(sample()) + "a later field";
  EXPECT_EQ(read_usage_record(bytes).value(), sample());
  bytes[0] = 2;
  EXPECT_EQ(read_usage_record(bytes).error().code, ErrorCode::kUnimplemented);
}

TEST(UsageRecord, LongTextsAreCutAtACharactersEnd) {
  UsageRecord record = sample();
  record.key = std::string(UsageRecord::kLongestText - 1, 'k') + "机";
  record.request_id = std::string(5000, 'r');
  const UsageRecord read = read_usage_record(to_bytes(record)).value();
  EXPECT_EQ(read.key, std::string(UsageRecord::kLongestText - 1, 'k'));
  EXPECT_EQ(read.request_id, std::string(UsageRecord::kLongestText, 'r'));
  EXPECT_EQ(read.model, record.model);
}

TEST(UsageRecord, NumbersAndLengthsOutOfRangeAreRefused) {
  const std::string head("\x01\x00\x00", 3);  // version, time, outcome
  const std::string zeros(4, '\0');           // the counts and the cost
  const std::string texts(5, '\0');           // none has a byte
  ASSERT_TRUE(read_usage_record(head + zeros + texts));
  const std::string beyond_32 = "\x80\x80\x80\x80\x10";
  EXPECT_FALSE(read_usage_record(head + beyond_32 + std::string(3, '\0') + texts));
  EXPECT_FALSE(read_usage_record(std::string("\x01\x00\x02", 3) + zeros + texts)) << "an unknown outcome";
  const std::string beyond_64 = std::string(9, '\xff') + "\x02";
  EXPECT_FALSE(read_usage_record(head + std::string(3, '\0') + beyond_64 + texts));
  const std::string length_257 = "\x81\x02";
  EXPECT_FALSE(read_usage_record(head + zeros + length_257 + std::string(257, 'x') + std::string(4, '\0')));
}

TEST(UsageRecord, TextsAreValidUtf8WhateverTheBytes) {
  UsageRecord record = sample();
  record.model = "\xff";
  EXPECT_EQ(read_usage_record(to_bytes(record)).value().model, "\xef\xbf\xbd");
}

}  // namespace
}  // namespace autoglm::gateway
