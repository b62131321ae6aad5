#include "gateway/admission/keys/caller_rights.h"

#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

class CallerRightsTest : public ::testing::Test {
 protected:
  std::string verdict(CallerPtr caller, std::string_view model, std::uint8_t priority = 0) {
    CallContext context;
    context.caller = std::move(caller);
    context.priority = priority;
    const auto permit = run_task(loop_, rights_.admit({.model = model, .context = context}));
    if (permit) return *permit ? "holds something" : "";
    EXPECT_EQ(permit.error().code, ErrorCode::kPermissionDenied);
    return permit.error().reason;
  }

  CallerRights rights_;
  EventLoop loop_;
};

TEST_F(CallerRightsTest, KeepsCallersToTheirPriorities) {
  const auto caller = std::make_shared<const Caller>(Caller{.key = "k", .priority = 3});
  EXPECT_EQ(verdict(caller, "alpha"), "");
  EXPECT_EQ(verdict(caller, "alpha", 3), "");
  EXPECT_EQ(verdict(caller, "alpha", 4), "priority_not_allowed");
}

TEST_F(CallerRightsTest, AllCallsPassWithoutKeys) { EXPECT_EQ(verdict(nullptr, "alpha", 9), ""); }

}  // namespace
}  // namespace autoglm::gateway
