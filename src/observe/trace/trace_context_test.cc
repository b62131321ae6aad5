#include "observe/trace/trace_context.h"

#include <gtest/gtest.h>

namespace autoglm::observe {
namespace {

TEST(TraceContext, RoundTripsATraceparent) {
  const std::string header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const auto context = TraceContext::parse(header);
  ASSERT_TRUE(context);
  EXPECT_EQ(context->traceparent(), header);
  EXPECT_EQ(context->trace_id_hex(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(context->flags, 1);
}

TEST(TraceContext, RefusesWhatTheSpecificationRefuses) {
  for (const char* header : {
           "",
           "00",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
           "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "00-00000000000000000000000000000000-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
           "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
       }) {
    EXPECT_FALSE(TraceContext::parse(header)) << header;
  }
  EXPECT_TRUE(TraceContext::parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"));
}

TEST(TraceContext, KeepsTheWholeMembersOfATracestateThatFit) {
  const auto kept = [](std::string_view header) {
    TraceContext context;
    context.keep_state(header);
    return context.state;
  };
  EXPECT_EQ(kept(""), "");
  EXPECT_EQ(kept("a=1"), "a=1");
  EXPECT_EQ(kept("a=1, b=2"), "a=1, b=2");
  EXPECT_EQ(kept("a=1," + std::string(508, 'x')), "a=1," + std::string(508, 'x'));
  EXPECT_EQ(kept("a=1," + std::string(509, 'x')), "a=1");
  EXPECT_EQ(kept(std::string(513, 'x')), "");
  std::string many = "m=0";
  for (int i = 1; i < 32; ++i) many += ",m=" + std::to_string(i);
  EXPECT_EQ(kept(many), many);
  EXPECT_EQ(kept(many + ",m=32"), many);
}

TEST(TraceContext, AChildStaysInItsTrace) {
  Random random(1);
  TraceContext parent = TraceContext::begin(random);
  parent.keep_state("a=1");
  const TraceContext child = parent.child(random);
  EXPECT_EQ(child.trace_id, parent.trace_id);
  EXPECT_NE(child.span_id, parent.span_id);
  EXPECT_EQ(child.state, "a=1");
}

TEST(RequestId, IsFresh) {
  Random random(1);
  const std::string first = new_request_id(random);
  EXPECT_EQ(first.size(), 32U);
  EXPECT_NE(first, new_request_id(random));
}

}  // namespace
}  // namespace autoglm::observe
