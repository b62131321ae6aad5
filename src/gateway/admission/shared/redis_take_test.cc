#include "gateway/admission/shared/redis_take.h"

#include "gateway/admission/shared/scripts.h"
#include "redis/testing/fake_redis.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;
using Words = redis::FakeRedis::Words;

const char* const kHello = "*2\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n";

std::string numbers(const std::vector<std::int64_t>& all) {
  std::string text = "*" + std::to_string(all.size()) + "\r\n";
  for (const std::int64_t each : all) text += ":" + std::to_string(each) + "\r\n";
  return text;
}

/// Takes on a server whose answers the test writes.
struct Setting {
  explicit Setting(BlockingPool& names, Duration how_long)
      : timeout(how_long),
        server([this](const Words& words) -> std::optional<std::string> {
          if (words.front() == "HELLO") return kHello;
          if (words.front() == "PING" && answer) return "+PONG\r\n";
          return answer;
        }),
        options{.address = server.address(), .timeout = timeout, .connect_timeout = 10s, .stall = 1h},
        client(std::make_shared<redis::Client>(names, options,
                                               [this](bool up, std::string_view) { is_up = up; })) {}

  std::shared_ptr<RedisTake> take(std::vector<std::uint64_t> amounts = {10}) {
    std::vector<SharedAsk> asks;
    for (const std::uint64_t amount : amounts)
      asks.push_back({.spec = spec, .name = "{s}:n" + std::to_string(asks.size()), .amount = amount});
    return std::make_shared<RedisTake>(client, metrics, timeout, "p:", std::move(asks));
  }
  /// What was sent last.
  const Words& last() const { return server.heard().back(); }
  std::size_t sent() const { return server.count("EVALSHA"); }

  const Duration timeout;
  std::optional<std::string> answer;  ///< of a script; nothing: none yet
  bool is_up = false;
  std::shared_ptr<const SharedSpec> spec =
      std::make_shared<const SharedSpec>(SharedSpec::of({.amount = 100, .period = 60s}).value());
  observe::MetricRegistry registry;
  RedisMetrics metrics{registry};
  redis::FakeRedis server;
  redis::Options options;
  std::shared_ptr<redis::Client> client;
};

Task<void> when(std::function<bool()> condition) {
  for (int i = 0; i < 20'000; ++i) {
    if (condition()) co_return;
    co_await sleep_for(1ms);
  }
  ADD_FAILURE() << "it did not happen";
}

class RedisTakeTest : public ::testing::Test {
 protected:
  template <class Body>
  void run(Duration timeout, Body body) {
    run_task(loop_, [](BlockingPool& names, Duration wait, Body inner) -> Task<void> {
      Setting setting(names, wait);
      co_await when([&] { return setting.is_up; });
      co_await inner(setting);
    }(pool_, timeout, body));
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

TEST_F(RedisTakeTest, AsksForAllLimitsAtOnceAndSettlesWhatWasTaken) {
  run(10s, [](Setting& s) -> Task<void> {
    s.answer = numbers({0, 0, 90, 6'000'000, 1700, 5, 0, 250, 80, 1, 1700, 6});
    const auto take = s.take({10, 20});
    take->begin();
    EXPECT_TRUE(co_await take->answered());
    EXPECT_EQ(s.last(), (Words{"EVALSHA", take_script().digest, "2", "p:{s}:n0:b", "p:{s}:n1:b", "", "b",
                               "600000", "1", "100", "100", "10", "b", "600000", "1", "100", "100", "20"}));
    const auto& decisions = take->decisions();
    EXPECT_EQ(decisions[0].verdict, Verdict::kAdmitted);
    EXPECT_EQ(decisions[0].state.limit, 100U);
    EXPECT_EQ(decisions[0].state.remaining, 90U);
    EXPECT_EQ(decisions[0].state.reset, Duration(6s));
    EXPECT_EQ(decisions[1].delay, Duration(250us));
    s.answer = ":1\r\n";
    take->settle(std::vector<std::uint64_t>{SharedTake::kAsReserved, 7});
    co_await when([&] { return s.sent() == 2; });
    EXPECT_EQ(s.last(), (Words{"EVALSHA", settle_script().digest, "1", "p:{s}:n1:b", "", "b", "600000", "1",
                               "100", "100", "20", "1700", "6", "7"}));
  });
}

TEST_F(RedisTakeTest, ARefusedTakeHasNothingToSettle) {
  run(10s, [](Setting& s) -> Task<void> {
    s.answer = numbers({2, 0, 90, 0, 1700, 0, 1, 4000, 3, 5, 1700, 0});
    const auto take = s.take({10, 20});
    take->begin();
    EXPECT_TRUE(co_await take->answered());
    EXPECT_EQ(take->decisions()[0].verdict, Verdict::kAdmitted);
    EXPECT_EQ(take->decisions()[1].verdict, Verdict::kLater);
    EXPECT_EQ(take->decisions()[1].retry_after, Duration(4ms));
    take->settle(std::vector<std::uint64_t>{0, 0});
    co_await turns(50);
    EXPECT_EQ(s.sent(), 1U);
  });
}

TEST_F(RedisTakeTest, WhatWasUsedAsReservedNeedsNoSettlement) {
  run(10s, [](Setting& s) -> Task<void> {
    s.answer = numbers({0, 0, 90, 0, 1700, 0});
    const auto take = s.take({10});
    take->begin();
    EXPECT_TRUE(co_await take->answered());
    take->settle(std::vector<std::uint64_t>{10});
    co_await turns(50);
    EXPECT_EQ(s.sent(), 1U);
  });
}

TEST_F(RedisTakeTest, ALateAnswerIsSettledWhenItComes) {
  run(1ms, [](Setting& s) -> Task<void> {
    auto refused = s.take(), still_running = s.take(), ended = s.take();
    for (const auto& take : {refused, still_running, ended}) take->begin();
    EXPECT_FALSE(co_await refused->answered());
    EXPECT_EQ(s.metrics.late.value(), 1U);
    EXPECT_FALSE(co_await ended->answered());
    const auto in_doubt = s.take();
    in_doubt->begin();
    EXPECT_FALSE(co_await in_doubt->answered());
    EXPECT_EQ(s.sent(), 3U) << "a server in doubt is not asked";
    refused->settle(std::vector<std::uint64_t>{0});
    refused.reset();  // its call is over
    ended->settle(std::vector<std::uint64_t>{4});
    ended.reset();
    co_await when([&] { return s.sent() == 3 && s.server.count("PING") == 1; });
    s.answer = ":1\r\n";
    const std::size_t before = s.sent();
    co_await s.server.say(numbers({0, 0, 90, 0, 1700, 1}) + numbers({0, 0, 80, 0, 1700, 2}) +
                          numbers({0, 0, 70, 0, 1700, 3}) + "+PONG\r\n");
    // They are sent while the server is still in doubt: its PONG stands behind them.
    co_await when([&] { return s.sent() == before + 2; });
    const auto& heard = s.server.heard();
    std::vector<std::string> settled;
    for (const Words& words : heard)
      if (words.size() > 1 && words[1] == settle_script().digest)
        settled.push_back(words.at(12) + "=" + words.at(13));
    EXPECT_EQ(settled, (std::vector<std::string>{"1=0", "3=4"}));
    still_running->settle(std::vector<std::uint64_t>{0});
    co_await when([&] { return s.sent() == before + 3; });
    EXPECT_EQ(s.last().at(12), "2");
  });
}

TEST_F(RedisTakeTest, AnErrorOrNonsenseIsNoAnswer) {
  run(10s, [](Setting& s) -> Task<void> {
    std::uint64_t errors = 0;
    for (const char* answer : {"-NOPERM this user has no permissions\r\n", "+OK\r\n", "*1\r\n:0\r\n"}) {
      s.answer = answer;
      const auto take = s.take();
      take->begin();
      EXPECT_FALSE(co_await take->answered());
      EXPECT_EQ(s.metrics.errors.value(), ++errors);
      take->settle(std::vector<std::uint64_t>{0});
    }
    EXPECT_EQ(s.metrics.late.value(), 0U);
    EXPECT_EQ(s.sent(), 3U) << "nothing was taken";
  });
}

TEST_F(RedisTakeTest, WhatWasAdmittedWithoutAnAnswerIsCharged) {
  run(1ms, [](Setting& s) -> Task<void> {
    const auto refused_late = s.take({10, 20}), not_asked = s.take({30});
    refused_late->begin();
    EXPECT_FALSE(co_await refused_late->answered());
    co_await when([&] { return s.sent() == 1 && s.server.count("PING") == 1; });
    not_asked->begin();
    EXPECT_FALSE(co_await not_asked->answered());
    not_asked->settle(std::vector<std::uint64_t>{25});
    co_await when([&] { return s.sent() == 2; });
    EXPECT_EQ(s.last().at(1), settle_script().digest);
    EXPECT_EQ(Words(s.last().end() - 4, s.last().end()), (Words{"0", "0", "0", "25"}));
    refused_late->settle(std::vector<std::uint64_t>{SharedTake::kAsReserved, 15});
    co_await turns(50);
    EXPECT_EQ(s.sent(), 2U) << "the answer decides what there is to charge";
    co_await s.server.say(numbers({1, 9, 90, 0, 1700, 0, 2, 0, 80, 0, 1700, 0}));
    co_await when([&] { return s.sent() == 3; });
    EXPECT_EQ(s.last().at(2), "2");
    EXPECT_EQ(s.last().back(), "15");
    EXPECT_EQ(s.last().at(s.last().size() - 10), "10") << "a request stays used";
  });
}

TEST_F(RedisTakeTest, ALostConnectionIsNoAnswer) {
  run(10s, [](Setting& s) -> Task<void> {
    const auto take = s.take();
    take->begin();
    co_await when([&] { return s.sent() == 1; });
    s.client.reset();
    EXPECT_FALSE(co_await take->answered());
    take->settle(std::vector<std::uint64_t>{0});
  });
}

}  // namespace
}  // namespace autoglm::gateway
