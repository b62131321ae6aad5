#include "gateway/admission/usage/usage_metrics.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

TEST(UsageMetrics, CountTenantsUpToTheBound) {
  observe::MetricRegistry registry;
  UsageMetrics metrics(registry);
  for (int round = 0; round < 2; ++round) {
    for (int tenant = 0; tenant < 105; ++tenant)
      metrics.add({.tenant = "t" + std::to_string(tenant),
                   .prompt_tokens = 10,
                   .cached_tokens = 4,
                   .completion_tokens = 3});
  }
  const auto requests = [&](const char* tenant) {
    return registry.counter("autoglm_usage_requests_total", "", {{"tenant", tenant}}).value();
  };
  const auto tokens = [&](const char* tenant, const char* kind) {
    return registry.counter("autoglm_usage_tokens_total", "", {{"tenant", tenant}, {"kind", kind}}).value();
  };
  EXPECT_EQ(requests("t0"), 2U);
  EXPECT_EQ(requests("t99"), 2U);
  EXPECT_EQ(requests("(others)"), 10U);
  EXPECT_EQ(registry.serialize().find("\"t100\""), std::string::npos);
  EXPECT_EQ(tokens("t0", "prompt"), 20U);
  EXPECT_EQ(tokens("t0", "cached"), 8U);
  EXPECT_EQ(tokens("(others)", "completion"), 30U);
}

}  // namespace
}  // namespace autoglm::gateway
