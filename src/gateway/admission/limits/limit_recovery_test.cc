#include "gateway/admission/limits/limit_recovery.h"

#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <map>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

const WallTime kNoon = std::chrono::sys_days(std::chrono::year(2026) / 11 / 30) + 12h;

/// A process: its limits, and calls that use them up.
class Process {
 public:
  explicit Process(std::vector<LimitConfig> limits) {
    check.apply(std::move(limits), std::chrono::steady_clock::now());
  }
  /// A call that may use `tokens`, and uses all of them.
  Result<std::unique_ptr<Permit>> call(const std::string& key, std::uint32_t tokens,
                                       const std::vector<std::string>& limits = {}) {
    CallContext context{.tenant = "secret"};
    if (!key.empty())
      context.caller =
          std::make_shared<const Caller>(Caller{.key = key, .tenant = "t", .group = {}, .limits = limits});
    GenerateRequest work{.prompts = {TokenPrompt{}}};
    work.stop.max_tokens = tokens;
    const InferenceRequest request{.work = std::move(work)};
    auto permit = run_task(
        loop_,
        check.admit(
            {.model = "m", .request = &request, .tokens = estimate_tokens(request), .context = context}));
    if (permit && *permit) (*permit)->settle({.completion_tokens = tokens});
    return permit;
  }
  /// How many tokens a key could use at once.
  std::uint64_t left(const std::string& limit, const std::string& subject) const {
    std::uint64_t left = 0;
    check.for_each_rate([&](const LimitConfig& config, const RateSpec&, RateTable& rates) {
      if (config.name == limit) left = rates.state(subject, std::chrono::steady_clock::now()).remaining;
    });
    return left;
  }
  SavedLimits save(WallTime wall = kNoon) const {
    return save_limits(check, wall, std::chrono::steady_clock::now());
  }
  /// What a process before has left behind.
  std::uint64_t restore(const SavedLimits* saved, const std::vector<UsageRecord>& records,
                        WallTime wall = kNoon) {
    LimitRecovery recovery(check, [this](std::string_view key) {
      const auto found = named.find(key);
      return found == named.end() ? nullptr : &found->second;
    });
    if (saved != nullptr) recovery.load(*saved);
    for (const UsageRecord& record : records) recovery.charge(record);
    return recovery.finish(wall, std::chrono::steady_clock::now());
  }

  observe::MetricRegistry metrics;
  LimitCheck check{metrics};
  std::map<std::string, std::vector<std::string>, std::less<>> named;

 private:
  EventLoop loop_;
};

UsageRecord used(std::uint32_t tokens, WallTime at, std::string key = "a") {
  return {.time = std::chrono::floor<std::chrono::milliseconds>(at),
          .key = std::move(key),
          .tenant = "t",
          .group = "g",
          .model = "m",
          .completion_tokens = tokens};
}

// A day's amount: what drains while a test runs is less than one.
const LimitConfig kTokens{.name = "tokens", .tokens = "1000/day"};
const LimitConfig kWindow{.name = "window", .tokens = "1000/day", .algorithm = RateAlgorithm::kSlidingWindow};
const LimitConfig kRequests{.name = "requests", .per = LimitScope::kTenant, .requests = "10/day"};
const LimitConfig kGlobal{.name = "all", .per = LimitScope::kGlobal, .tokens = "5000/day"};

TEST(LimitRecovery, ASavedStateGoesOn) {
  const std::vector limits = {kTokens, kWindow, kRequests, kGlobal};
  Process before(limits);
  ASSERT_TRUE(before.call("a", 600));
  ASSERT_TRUE(before.call("b", 100));
  const SavedLimits saved = before.save();
  EXPECT_EQ(read_saved_limits(to_bytes(saved)).value(), saved);
  Process after(limits);
  EXPECT_EQ(after.restore(&saved, {}), 2U + 2U + 1U + 1U);
  EXPECT_EQ(after.left("tokens", "a"), 400U);
  EXPECT_EQ(after.left("window", "a"), 400U);
  EXPECT_EQ(after.left("tokens", "b"), 900U);
  EXPECT_EQ(after.left("requests", "t"), 8U);
  EXPECT_EQ(after.left("all", ""), 4300U);
  EXPECT_FALSE(after.call("a", 401));
}

TEST(LimitRecovery, RecordsAfterItAreChargedOnTop) {
  const std::vector limits = {kTokens, kWindow, kRequests, kGlobal};
  Process before(limits);
  ASSERT_TRUE(before.call("a", 600));
  const SavedLimits saved = before.save();
  Process after(limits);
  after.restore(&saved, {used(150, kNoon), used(50, kNoon + 1s), used(7, kNoon + 1s, "b")}, kNoon + 2s);
  EXPECT_EQ(after.left("tokens", "a"), 200U);
  EXPECT_EQ(after.left("window", "a"), 200U);
  EXPECT_EQ(after.left("tokens", "b"), 993U);
  EXPECT_EQ(after.left("requests", "t"), 6U);
  EXPECT_EQ(after.left("all", ""), 5000U - 807);
}

TEST(LimitRecovery, WithoutASavedStateTheRecordsAlone) {
  Process after({kTokens, kGlobal});
  after.restore(nullptr, {used(300, kNoon), used(400, kNoon)}, kNoon + 1s);
  EXPECT_EQ(after.left("tokens", "a"), 300U);
  EXPECT_EQ(after.left("all", ""), 4300U);
}

TEST(LimitRecovery, AModelsLimitIsChargedForWhatAFallbackAnswered) {
  const LimitConfig of_models{.name = "model", .per = LimitScope::kModel, .tokens = "1000/day"};
  Process after({of_models});
  UsageRecord record = used(300, kNoon);
  record.asked = "first";
  after.restore(nullptr, {record, used(50, kNoon)}, kNoon);
  EXPECT_EQ(after.left("model", "first"), 700U) << "as while the process ran";
  EXPECT_EQ(after.left("model", "m"), 950U);
}

TEST(LimitRecovery, TheTimeBetweenDrains) {
  Process before({kTokens, kWindow});
  ASSERT_TRUE(before.call("a", 1000));
  const SavedLimits saved = before.save();
  Process after({kTokens, kWindow});
  after.restore(&saved, {used(100, kNoon + 12h)}, kNoon + 18h);
  EXPECT_EQ(after.left("tokens", "a"), 650U) << "1000 - 500 in 12 h, + 100, - 250 in 6 h";
  EXPECT_EQ(after.left("window", "a"), 0U) << "in any day at most 1000";
  Process next({kTokens, kWindow});
  next.restore(&saved, {}, kNoon + 26h);
  EXPECT_EQ(next.left("tokens", "a"), 1000U);
  EXPECT_EQ(next.left("window", "a"), 1000U);
}

TEST(LimitRecovery, AClockThatWasSetBackIsNoTime) {
  Process before({kTokens});
  ASSERT_TRUE(before.call("a", 800));
  const SavedLimits saved = before.save();
  Process after({kTokens});
  after.restore(&saved, {used(100, kNoon - 1h)}, kNoon - 1h);
  EXPECT_EQ(after.left("tokens", "a"), 100U);
}

TEST(LimitRecovery, AClockThatWasSetForwardIsOnlyTheTimeItShows) {
  Process before({kTokens});
  ASSERT_TRUE(before.call("a", 1000));
  const SavedLimits saved = before.save();
  Process after({kTokens});
  after.restore(&saved, {}, kNoon + 1h);
  EXPECT_EQ(after.left("tokens", "a"), 41U);
}

TEST(LimitRecovery, ALimitHoldsForTheKeysThatNameIt) {
  Process after({kTokens, kGlobal});
  after.named["a"] = {"another"};
  after.named["b"] = {"tokens"};
  after.restore(nullptr, {used(10, kNoon, "a"), used(20, kNoon, "b"), used(30, kNoon, "gone")}, kNoon);
  EXPECT_EQ(after.left("tokens", "a"), 1000U);
  EXPECT_EQ(after.left("tokens", "b"), 980U);
  EXPECT_EQ(after.left("tokens", "gone"), 970U)
      << "what an unknown key has used is charged rather than forgotten";
  EXPECT_EQ(after.left("all", ""), 4940U);
}

TEST(LimitRecovery, ClientsThatNobodyVouchesForAreForgotten) {
  Process before({kTokens, kGlobal});
  ASSERT_TRUE(before.call("", 700));
  const SavedLimits saved = before.save();
  ASSERT_EQ(saved.limits.size(), 2U);
  EXPECT_TRUE(saved.limits[0].subjects.empty());
  EXPECT_EQ(saved.limits[1].subjects.size(), 1U);
  Process after({kTokens, kGlobal});
  UsageRecord open = used(100, kNoon, "");
  open.tenant = "";
  after.restore(&saved, {open}, kNoon);
  EXPECT_EQ(after.left("all", ""), 4200U);
}

TEST(LimitRecovery, AChangedLimitKeepsWhatWasUsedAndARemovedOneIsLeftOut) {
  Process before({kTokens, kGlobal});
  ASSERT_TRUE(before.call("a", 600));
  const SavedLimits saved = before.save();
  Process after({{.name = "tokens", .tokens = "2000/day", .algorithm = RateAlgorithm::kSlidingWindow}});
  after.restore(&saved, {});
  EXPECT_EQ(after.left("tokens", "a"), 1400U);
}

TEST(SavedLimits, AnythingElseIsRefused) {
  Process before({kTokens, kWindow, kRequests});
  ASSERT_TRUE(before.call("a", 600));
  const std::string whole = to_bytes(before.save());
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(read_saved_limits(std::string_view(whole).substr(0, size))) << size;
  EXPECT_EQ(read_saved_limits("\x02").error().code, ErrorCode::kUnimplemented);
}

}  // namespace
}  // namespace autoglm::gateway
