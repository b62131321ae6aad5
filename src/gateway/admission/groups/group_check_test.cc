#include "gateway/admission/groups/group_check.h"

#include "runtime/scope.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <gmock/gmock.h>

#include <list>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

GroupConfig group(std::string name, std::uint32_t concurrent, std::uint32_t size = 100) {
  return {.name = std::move(name), .concurrent = concurrent, .queue = {.size = size, .timeout = 1h}};
}

CallContext from(std::string group, std::string tenant = "t", std::uint8_t priority = 0) {
  CallContext context;
  context.priority = priority;
  context.caller = std::make_shared<const Caller>(
      Caller{.key = "k", .tenant = std::move(tenant), .group = std::move(group)});
  return context;
}

/// A call that keeps its permit until it is destroyed.
struct Call {
  Call(GroupCheck& check, CallContext its, const InferenceRequest* request = nullptr)
      : context(std::move(its)),
        facts{.model = "m",
              .request = request,
              .tokens = request == nullptr ? TokenEstimate() : estimate_tokens(*request),
              .context = context} {
    scope.spawn(come(check));
  }
  Task<void> come(GroupCheck& check) { outcome = co_await check.admit(facts); }
  bool has_place() const { return outcome && *outcome && **outcome != nullptr; }
  bool passes() const { return outcome && *outcome && **outcome == nullptr; }

  CallContext context;
  AdmissionFacts facts;
  std::optional<Result<std::unique_ptr<Permit>>> outcome;
  Scope scope;
};

class GroupCheckTest : public ::testing::Test {
 protected:
  void on_loop(const std::function<Task<void>()>& body) { run_task(loop_, body()); }
  std::string line(const std::string& beginning) const {
    const std::string text = metrics_.serialize();
    const auto at = text.find("\n" + beginning + " ");
    return at == std::string::npos ? "" : text.substr(at + 2 + beginning.size(), 1);
  }

  EventLoop loop_;
  observe::MetricRegistry metrics_;
};

TEST_F(GroupCheckTest, CallsOfNoConfiguredGroupPass) {
  GroupCheck check({group("chat", 1)}, metrics_);
  on_loop([&]() -> Task<void> {
    const Call holder(check, from("chat"));
    EXPECT_TRUE(holder.has_place());
    EXPECT_TRUE(Call(check, {}).passes());
    EXPECT_TRUE(Call(check, from("")).passes());
    EXPECT_TRUE(Call(check, from("unknown")).passes());
    EXPECT_FALSE(Call(check, from("chat")).outcome) << "it waits";
    co_return;
  });
}

TEST_F(GroupCheckTest, GroupsDoNotTakeEachOthersPlacesAndAPermitIsOne) {
  GroupCheck check({group("chat", 1, 0), group("batch", 1, 0)}, metrics_);
  on_loop([&]() -> Task<void> {
    std::optional<Call> chat(std::in_place, check, from("chat"));
    const Call batch(check, from("batch"));
    EXPECT_TRUE(chat->has_place() && batch.has_place());
    const Call refused(check, from("chat"));
    EXPECT_EQ(refused.outcome->error().reason, "group_full");
    chat.reset();
    EXPECT_TRUE(Call(check, from("chat")).has_place());
    co_return;
  });
}

TEST_F(GroupCheckTest, TenantsTakeTurnsByTheCostOfTheirRequests) {
  GroupCheck check({group("chat", 1)}, metrics_);
  InferenceRequest big, small;
  std::get<GenerateRequest>(big.work).stop.max_tokens = 3000;
  std::get<GenerateRequest>(small.work).stop.max_tokens = 900;
  on_loop([&]() -> Task<void> {
    std::list<Call> calls;
    std::optional<Call> holder(std::in_place, check, from("chat"));
    for (int i = 0; i < 2; ++i) calls.emplace_back(check, from("chat", "big"), &big);
    for (int i = 0; i < 3; ++i) calls.emplace_back(check, from("chat", "small"), &small);
    holder.reset();
    std::string order;
    while (!calls.empty()) {
      co_await turns(3);
      const auto next = std::ranges::find_if(calls, &Call::has_place);
      if (next == calls.end()) break;
      order += next->context.caller->tenant[0];
      calls.erase(next);
    }
    EXPECT_EQ(order, "bsssb");
  });
}

TEST_F(GroupCheckTest, AReloadChangesGroupsAndLetsThoseThatAreGoneGoOn) {
  GroupCheck check({group("chat", 1), group("batch", 1)}, metrics_);
  on_loop([&]() -> Task<void> {
    std::optional<Call> chat(std::in_place, check, from("chat")),
        chat_waits(std::in_place, check, from("chat"));
    std::optional<Call> batch(std::in_place, check, from("batch")),
        batch_waits(std::in_place, check, from("batch"));
    check.apply({group("chat", 2), group("new", 1, 0)});
    co_await turns(3);
    EXPECT_TRUE(chat_waits->has_place()) << "there is one more place";
    EXPECT_TRUE(batch_waits->has_place()) << "its group is gone";
    EXPECT_TRUE(Call(check, from("batch")).passes());
    EXPECT_TRUE(Call(check, from("new")).has_place());
    check.apply({group("batch", 1, 0)});
    const Call refused(check, from("batch"));
    EXPECT_TRUE(refused.outcome && !*refused.outcome) << "calls from before count again";
    check.apply({});
    EXPECT_THAT(metrics_.serialize(), HasSubstr("autoglm_group_running{group=\"batch\"} 2"));
    batch.reset();
    batch_waits.reset();
    check.apply({});
    EXPECT_THAT(metrics_.serialize(), Not(HasSubstr("autoglm_group_running{group=\"batch\"}")));
  });
}

TEST_F(GroupCheckTest, APermitMayOutliveTheCheck) {
  auto check = std::make_unique<GroupCheck>(std::vector{group("chat", 1)}, metrics_);
  on_loop([&]() -> Task<void> {
    const Call call(*check, from("chat"));
    EXPECT_TRUE(call.has_place());
    check.reset();
    co_return;
  });
}

TEST_F(GroupCheckTest, CountsWhatItDoes) {
  GroupCheck check({group("chat", 1, 1)}, metrics_);
  on_loop([&]() -> Task<void> {
    const Call holds(check, from("chat")), waits(check, from("chat")), refused(check, from("chat"));
    EXPECT_EQ(line("autoglm_group_running{group=\"chat\"}"), "1");
    EXPECT_EQ(line("autoglm_group_waiting{group=\"chat\"}"), "1");
    EXPECT_EQ(line("autoglm_group_refused_total{group=\"chat\",reason=\"group_full\"}"), "1");
    EXPECT_EQ(line("autoglm_group_refused_total{group=\"chat\",reason=\"group_timeout\"}"), "0");
    EXPECT_EQ(line("autoglm_group_wait_seconds_count{group=\"chat\"}"), "1");
    co_return;
  });
}

}  // namespace
}  // namespace autoglm::gateway
