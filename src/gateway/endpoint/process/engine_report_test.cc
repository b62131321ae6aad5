#include "gateway/endpoint/process/engine_report.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

EngineReport sample() {
  return {.status = {.state = EndpointStatus::State::kFailed, .progress = 0.25, .detail = "a \"file\"\n"},
          .context_length = 2048,
          .has_chat_template = true,
          .sampling = {{"temperature", 0.2, "catalogue"}, {"top_k", 2147483647, "a \"file\""}},
          .system_message = "Answer \"briefly\".",
          .load = {.running = 1,
                   .waiting = 2,
                   .max_running = 3,
                   .max_waiting = 4,
                   .kv_usage = 0.5,
                   .prefill_backlog_tokens = 6,
                   .step_time = std::chrono::microseconds(7)},
          .prefixes = std::make_shared<const PrefixSet>(PrefixSet{0xffff'ffff'ffff'fff0U, 1U})};
}

TEST(EngineReport, ReadsWhatItWrites) {
  const EngineReport before = sample();
  const auto after = read_report(write_report(before));
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(after->status.state, before.status.state);
  EXPECT_EQ(after->status.progress, before.status.progress);
  EXPECT_EQ(after->status.detail, before.status.detail);
  EXPECT_EQ(after->context_length, before.context_length);
  EXPECT_TRUE(after->has_chat_template);
  EXPECT_EQ(after->sampling, before.sampling);
  EXPECT_EQ(after->system_message, before.system_message);
  EXPECT_EQ(after->load, before.load);
  ASSERT_NE(after->prefixes, nullptr);
  EXPECT_EQ(*after->prefixes, *before.prefixes);
}

TEST(EngineReport, KnowsWhatIsNew) {
  const EngineReport before = sample();
  EXPECT_TRUE(before.same_as(before));
  EngineReport after = before;
  after.load.running = 0;
  EXPECT_FALSE(after.same_as(before));
  after = before;
  after.prefixes = std::make_shared<const PrefixSet>(*before.prefixes);
  EXPECT_FALSE(after.same_as(before));
  after = before;
  after.status.progress = 0.5;
  EXPECT_FALSE(after.same_as(before));
}

TEST(EngineReport, RefusesGarbage) {
  for (const char* text : {"", "[]", R"({"state":"happy"})", R"({"progress":2})",
                           R"({"sampling":{"top_p":[true]}})", R"({"load":{"models":[{"running":-1}]}})"})
    EXPECT_FALSE(read_report(text)) << text;
}

}  // namespace
}  // namespace autoglm::gateway
