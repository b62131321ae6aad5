#include "gateway/admission/models/model_check.h"

#include "base/testing/manual_clock.h"
#include "gateway/admission/groups/gradient_limit.h"
#include "runtime/scope.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <list>
#include <optional>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

BulkheadConfig model(std::string name, std::uint32_t concurrent, std::uint32_t size = 100) {
  return {.name = std::move(name), .concurrent = concurrent, .queue = {.size = size, .timeout = 1h}};
}

/// A call that keeps its permit until it is destroyed.
struct ModelCall {
  ModelCall(ModelCheck& check, std::string_view model, std::uint8_t priority = 0)
      : context{.priority = priority},
        request{.wire = {.stream = true}},
        facts{.model = model, .request = &request, .tokens = estimate_tokens(request), .context = context} {
    scope.spawn(come(check));
  }
  Task<void> come(ModelCheck& check) { outcome = co_await check.admit(facts); }
  bool has_place() const { return outcome && *outcome && **outcome != nullptr; }
  bool passes() const { return outcome && *outcome && **outcome == nullptr; }
  Permit& permit() const { return ***outcome; }

  CallContext context;
  InferenceRequest request;
  AdmissionFacts facts;
  std::optional<Result<std::unique_ptr<Permit>>> outcome;
  Scope scope;
};

class ModelCheckTest : public ::testing::Test {
 protected:
  void on_loop(const std::function<Task<void>()>& body) { run_task(loop_, body()); }
  double gauge(const std::string& name) const {
    const std::string text = metrics_.serialize();
    const auto at = text.find("\n" + name + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(at + 2 + name.size()));
  }

  EventLoop loop_;
  observe::MetricRegistry metrics_;
  ManualClock clock_;
  ModelCheck check_{metrics_, &clock_};
};

TEST_F(ModelCheckTest, ModelsHaveTheirOwnPlacesAndOneWithoutALimitHasEnough) {
  EXPECT_FALSE(check_.limits_any());
  check_.apply({model("a", 1, 1), model("b", 1, 0)});
  EXPECT_TRUE(check_.limits_any());
  on_loop([&]() -> Task<void> {
    std::optional<ModelCall> first(std::in_place, check_, "a");
    const ModelCall other(check_, "b");
    EXPECT_TRUE(first->has_place() && other.has_place());
    EXPECT_TRUE(ModelCall(check_, "c").passes());
    const ModelCall waits(check_, "a");
    EXPECT_FALSE(waits.outcome);
    const ModelCall refused(check_, "a");
    EXPECT_EQ((*refused.outcome).error().reason, "model_full");
    EXPECT_NE((*refused.outcome).error().message.find("the model \"a\""), std::string::npos);
    EXPECT_EQ(gauge("autoglm_model_concurrency_limit{model=\"a\"}"), 1);
    EXPECT_EQ(gauge("autoglm_model_waiting{model=\"a\"}"), 1);
    first.reset();
    co_await turns(3);
    EXPECT_TRUE(waits.has_place());
  });
}

TEST_F(ModelCheckTest, APlaceIsGivenBackWhenTheClientMayKnowOfTheEnd) {
  check_.apply({model("a", 1, 0)});
  on_loop([&]() -> Task<void> {
    const ModelCall ends(check_, "a");
    EXPECT_FALSE(ModelCall(check_, "a").has_place());
    ends.permit().closed();
    ends.permit().closed();
    EXPECT_TRUE(ModelCall(check_, "a").has_place());
    co_return;
  });
}

TEST_F(ModelCheckTest, AReloadHoldsForThoseThatWait) {
  check_.apply({model("a", 1)});
  on_loop([&]() -> Task<void> {
    std::list<ModelCall> calls;
    for (int i = 0; i < 3; ++i) calls.emplace_back(check_, "a");
    EXPECT_EQ(std::ranges::count_if(calls, &ModelCall::has_place), 1);
    check_.apply({model("a", 2)});
    co_await turns(3);
    EXPECT_EQ(std::ranges::count_if(calls, &ModelCall::has_place), 2);
    check_.apply({});
    co_await turns(3);
    EXPECT_EQ(std::ranges::count_if(calls, &ModelCall::has_place), 3);
  });
}

TEST_F(ModelCheckTest, ACallWithoutAStreamOfEventsTakesNoPlace) {
  check_.apply({model("a", 1, 0)});
  on_loop([&]() -> Task<void> {
    const ModelCall holder(check_, "a");
    const CallContext context;
    const AdmissionFacts facts{.model = "a", .context = context};
    const auto permit = co_await check_.admit(facts);
    EXPECT_TRUE(permit && *permit == nullptr);
  });
}

TEST_F(ModelCheckTest, AnAdaptiveLimitGrowsWhileItIsUsedAndFirstTokensComeSoon) {
  check_.apply({{.name = "a", .concurrent = 40, .queue = {.size = 100, .timeout = 1h}, .adaptive = true}});
  EXPECT_EQ(gauge("autoglm_model_concurrency_limit{model=\"a\"}"), GradientLimit::kBegin);
  on_loop([&]() -> Task<void> {
    std::list<ModelCall> calls;
    for (int i = 0; i < 60; ++i) calls.emplace_back(check_, "a");
    EXPECT_EQ(std::ranges::count_if(calls, &ModelCall::has_place), 16);
    clock_.advance(100ms);
    int told = 0;
    for (ModelCall& call : calls) {
      if (!call.has_place() || told++ == 8) break;
      if (told == 8) clock_.advance(GradientLimit::kWindow);
      call.permit().first_token();
    }
    EXPECT_EQ(gauge("autoglm_model_concurrency_limit{model=\"a\"}"), 24);
    co_await turns(5);
    EXPECT_EQ(std::ranges::count_if(calls, &ModelCall::has_place), 24);
    check_.apply({model("a", 8)});
    EXPECT_EQ(gauge("autoglm_model_concurrency_limit{model=\"a\"}"), 8);
  });
}

TEST_F(ModelCheckTest, AnAdaptiveLimitLearnsNothingFromTheAnswersOfAnotherModel) {
  check_.apply({{.name = "a", .concurrent = 40, .queue = {.size = 100, .timeout = 1h}, .adaptive = true}});
  on_loop([&]() -> Task<void> {
    std::list<ModelCall> calls;
    for (int i = 0; i < 16; ++i) calls.emplace_back(check_, "a");
    clock_.advance(100ms);
    for (ModelCall& call : calls) {
      call.permit().served_by("b");
      call.permit().first_token();
      clock_.advance(GradientLimit::kWindow);
    }
    EXPECT_EQ(gauge("autoglm_model_concurrency_limit{model=\"a\"}"), GradientLimit::kBegin);
    co_return;
  });
}

}  // namespace
}  // namespace autoglm::gateway
