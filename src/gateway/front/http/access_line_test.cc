#include "gateway/front/http/access_line.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

AccessFacts chat() {
  return {.method = "POST",
          .path = "/v1/chat/completions",
          .status = 200,
          .took = 1240ms,
          .usage = {.prompt_tokens = 27, .completion_tokens = 50},
          .model = "smollm2"};
}

std::string plain(const AccessFacts& facts) { return access_line(facts, Paint(false)); }

TEST(AccessLine, IsShort) {
  EXPECT_EQ(plain(chat()), "POST /v1/chat/completions 200 1240 ms 27+50 tokens smollm2");
}

TEST(AccessLine, SaysWhoAnsweredForAPool) {
  AccessFacts facts = chat();
  facts.endpoint = "10.0.0.11:8000";
  facts.attempts = 1;
  EXPECT_TRUE(plain(facts).ends_with(" smollm2 at 10.0.0.11:8000")) << plain(facts);
  facts.attempts = 2;
  EXPECT_TRUE(plain(facts).ends_with(" at 10.0.0.11:8000 (2 attempts)")) << plain(facts);
}

TEST(AccessLine, SaysOnlyWhatThereIs) {
  EXPECT_EQ(plain({.method = "GET", .path = "/x", .status = 404, .took = 340us, .error = "there is nothing"}),
            "GET /x 404 0.34 ms there is nothing");
}

TEST(AccessLine, StaysOneLineWhateverClientsSend) {
  const std::string hostile = "a\nb\x1b[2J\xff";
  AccessFacts facts = chat();
  facts.path = facts.model = facts.endpoint = facts.error = hostile;
  const std::string line = plain(facts);
  EXPECT_EQ(line.find_first_of("\n\x1b"), std::string::npos);
  EXPECT_EQ(line, "POST a b [2J\uFFFD 200 1240 ms 27+50 tokens a b [2J\uFFFD at a b [2J\uFFFD a b [2J\uFFFD");
  const std::string long_path(10'000, 'x');
  facts.path = long_path;
  EXPECT_LT(plain(facts).size(), 220U);
}

TEST(AccessLine, ColoursWhatWentWrong) {
  AccessFacts facts = chat();
  const auto colour_of = [&](int status) {
    facts.status = status;
    const std::string line = access_line(facts, Paint(true));
    return line.substr(line.find('\x1b'), 5);
  };
  EXPECT_EQ(colour_of(200), "\x1b[32m");
  EXPECT_EQ(colour_of(429), "\x1b[33m");
  EXPECT_EQ(colour_of(499), "\x1b[33m");
  EXPECT_EQ(colour_of(502), "\x1b[31m");
}

}  // namespace
}  // namespace autoglm::gateway
