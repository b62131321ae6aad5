#include "config/values.h"

#include <gtest/gtest.h>

namespace autoglm::config {
namespace {

using namespace std::chrono_literals;

TEST(Duration, ReadsUnitsAndPrintsTheLargestThatIsExact) {
  const std::pair<const char*, Duration> cases[] = {
      {"30s", 30s},   {"500ms", 500ms}, {"5m", 5min},    {"1h", 1h},      {"30", 30s},  {"1.1s", 1100ms},
      {"1m30s", 90s}, {"7d", 168h},     {"0.25", 250ms}, {"10 us", 10us}, {"3ns", 3ns}, {"0", 0s}};
  for (const auto& [text, expected] : cases) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, expected) << text;
    EXPECT_EQ(parse_duration(to_string(*parsed)), parsed) << text;
  }
  EXPECT_EQ(to_string(90s), "90s");
  EXPECT_EQ(to_string(Duration(2h)), "2h");
}

TEST(Duration, RefusesWhatIsNone) {
  for (const char* text :
       {"", "s", "-1s", "1w", "1s2", "1m 30", "nan", "inf", "1e3s", "1..2s", "1_000", "999999999999d"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(ByteSize, ReadsUnitsAndPrintsTheLargestThatIsExact) {
  const std::pair<const char*, std::int64_t> cases[] = {
      {"16MiB", 16 << 20},  {"1GB", 1'000'000'000}, {"4096", 4096}, {"1.5KiB", 1536}, {"512kb", 512'000},
      {"2 TiB", 2LL << 40}, {"256Mi", 256 << 20},   {"7B", 7},      {"0", 0}};
  for (const auto& [text, expected] : cases) {
    const auto parsed = parse_byte_size(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->bytes, expected) << text;
    EXPECT_EQ(parse_byte_size(to_string(*parsed)), parsed) << text;
  }
  EXPECT_EQ(to_string(ByteSize{16 << 20}), "16MiB");
  EXPECT_EQ(to_string(ByteSize{1234567}), "1234567");
}

TEST(ByteSize, RefusesWhatIsNoneOrSaysTooLittle) {
  for (const char* text : {"", "MiB", "-1", "1MiBs", "1 2", "99999999TiB", "1e3"})
    EXPECT_FALSE(parse_byte_size(text)) << text;
  EXPECT_EQ(parse_byte_size("16k").error(), "must say which unit it means: KiB (1024) or KB (1000)");
}

TEST(ListenAddress, ReadsNamesAddressesAndBarePorts) {
  const std::pair<const char*, ListenAddress> cases[] = {
      {"0.0.0.0:8080", {"0.0.0.0", 8080}}, {"[::1]:80", {"::1", 80}}, {"localhost:0", {"localhost", 0}},
      {"8080", {"0.0.0.0", 8080}},         {":81", {"0.0.0.0", 81}},  {"*:65535", {"0.0.0.0", 65535}}};
  for (const auto& [text, expected] : cases) {
    const auto parsed = parse_listen_address(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, expected) << text;
    EXPECT_EQ(parse_listen_address(to_string(*parsed)), parsed) << text;
  }
}

TEST(ListenAddress, RefusesWhatIsNone) {
  for (const char* text : {"", "host", "host:", "host:http", "host:65536", "host:-1", "http://host:80",
                           "[host]:80", "a b:1", "host:99999999999999999999", "u@h:1"}) {
    EXPECT_FALSE(parse_listen_address(text)) << text;
  }
  EXPECT_EQ(parse_listen_address("::1:8080").error(),
            "must have an IPv6 address in brackets, such as [::1]:8080");
}

}  // namespace
}  // namespace autoglm::config
