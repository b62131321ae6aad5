#include "gateway/resilience/pool_warnings.h"

#include "config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace autoglm::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// The warnings, with their keys, for a pool with `endpoints` addresses and the lines of `text`.
std::vector<std::string> warnings(const std::string& text, int endpoints = 2) {
  std::string file = "endpoints:\n";
  for (int i = 0; i < endpoints; ++i) file += "  - url: http://10.0.0." + std::to_string(i) + ":8000/v1\n";
  config::Diagnostics found;
  const auto loaded = config::load(describe_pool(), {.file_name = "f", .file_text = file + text}, &found);
  EXPECT_TRUE(loaded) << config::to_string(loaded.error());
  std::vector<std::string> out;
  for (const auto& each : found) out.push_back(each.path + " " + each.message);
  return out;
}

std::vector<std::string> of_endpoint(const std::string& text) {
  config::Diagnostics found;
  const auto loaded =
      config::load(describe_pool(), {.file_name = "f", .file_text = "endpoints: [ " + text + " ]\n"}, &found);
  EXPECT_TRUE(loaded) << config::to_string(loaded.error());
  std::vector<std::string> out;
  for (const auto& each : found) out.push_back(each.path + " " + each.message);
  return out;
}

TEST(PoolWarnings, AnAddressIsAsItsProtocolHasIt) {
  EXPECT_THAT(of_endpoint("{ url: \"http://10.0.0.1\", protocol: ollama }"), IsEmpty());
  EXPECT_THAT(of_endpoint("{ url: \"http://10.0.0.1\" }"), ElementsAre(HasSubstr("/v1")));
  EXPECT_THAT(of_endpoint("{ url: \"http://10.0.0.1/openai/deployments/x\", protocol: azure }"),
              ElementsAre(HasSubstr("has the path /openai/deployments/x")));
}

TEST(PoolWarnings, ADefaultSurprisesNobody) {
  EXPECT_THAT(warnings("", 1), IsEmpty());
  EXPECT_THAT(warnings("", 3), IsEmpty());
}

TEST(PoolWarnings, OfABreakerWithOneEndpointAndNothingElseToAsk) {
  const auto told = warnings("breaker: { sleep_window: 7s }\n", 1);
  EXPECT_THAT(told, ElementsAre(HasSubstr("breaker leaves the only endpoint alone")));
  EXPECT_THAT(told, ElementsAre(HasSubstr("503 for 7s")));
  EXPECT_THAT(warnings("breaker: { sleep_window: 7s }\n", 2), IsEmpty());
  EXPECT_THAT(warnings("breaker: { sleep_window: 7s }\nfallback: [ other ]\n", 1), IsEmpty());
  EXPECT_THAT(warnings("breaker: { sleep_window: 7s }\nstatic_answer: Later.\n", 1), IsEmpty());
}

TEST(PoolWarnings, OfWhatNeedsASecondEndpoint) {
  EXPECT_THAT(warnings("hedge: { percentile: 95 }\n", 1), ElementsAre(HasSubstr("hedge never asks")));
  EXPECT_THAT(warnings("hedge: { percentile: 95 }\n", 2), IsEmpty());
  EXPECT_THAT(warnings("balance: round_robin\n", 1), ElementsAre(HasSubstr("balance has one endpoint")));
  EXPECT_THAT(warnings("balance: round_robin\n", 2), IsEmpty());
}

TEST(PoolWarnings, OfMoreAttemptsThanEndpoints) {
  EXPECT_THAT(warnings("retry: { max_attempts: 3 }\n"),
              ElementsAre(HasSubstr("retry.max_attempts is above the number of endpoints, 2")));
  EXPECT_THAT(warnings("retry: { max_attempts: 2 }\n"), IsEmpty());
}

TEST(PoolWarnings, OfEjectionThatCannotHappen) {
  EXPECT_THAT(warnings("ejection: { consecutive_failures: 3 }\n", 1), ElementsAre(HasSubstr("none ever is")));
  EXPECT_THAT(warnings("ejection: { max_percent: 40 }\n"), ElementsAre(HasSubstr("of 2 at most 40 %")));
  EXPECT_THAT(warnings("ejection: { max_percent: 50 }\n"), IsEmpty());
  EXPECT_THAT(warnings("ejection: { consecutive_failures: 0 }\n", 1), IsEmpty());
  EXPECT_THAT(of_endpoint("{ url: \"http://10.0.0.1/v1\", max_fails: 3 }"),
              ElementsAre(HasSubstr("endpoints asks to leave out")));
}

TEST(PoolWarnings, OfALineThatNobodyWaitsIn) {
  EXPECT_THAT(warnings("queue: { size: 10 }\n"), ElementsAre(HasSubstr("queue is never used")));
  EXPECT_THAT(of_endpoint("{ url: \"http://10.0.0.1/v1\", max_connections: 4 } ]\nqueue: { size: 10 }\n#"),
              IsEmpty());
}

TEST(PoolWarnings, OfTimesThatContradictEachOther) {
  EXPECT_THAT(warnings("timeouts: { first_token: 40s, total: 30s }\n"),
              ElementsAre(HasSubstr("timeouts.first_token is 40s, longer than `timeouts.total`, 30s")));
  EXPECT_THAT(warnings("timeouts: { idle: 40s, total: 30s }\n"), ElementsAre(HasSubstr("timeouts.idle")));
  EXPECT_THAT(warnings("timeouts: { connect: 5s, first_token: 3s }\n"),
              ElementsAre(HasSubstr("timeouts.connect")));
  EXPECT_THAT(warnings("timeouts: { connect: 2s, first_token: 30s, idle: 30s, total: 600s }\n"), IsEmpty());
  EXPECT_THAT(warnings("health: { timeout: 10s, interval: 5s }\n"),
              ElementsAre(HasSubstr("health.timeout is 10s, longer than `health.interval`, 5s")));
  EXPECT_THAT(warnings("health: { timeout: 10s, interval: 5s }\n"),
              ElementsAre(HasSubstr("out only after 45s")));
}

TEST(PoolWarnings, OfAnAddressThatIsNoApis) {
  EXPECT_THAT(of_endpoint("{ url: \"http://10.0.0.1:8000\" }"),
              ElementsAre(HasSubstr("endpoints[0].url has no path")));
  EXPECT_THAT(of_endpoint("{ url: \"http://10.0.0.1:8000/\" }"),
              ElementsAre(HasSubstr("http://10.0.0.1:8000/v1")));
  EXPECT_THAT(of_endpoint("{ url: \"https://api.example.com/v1/chat/completions\" }"),
              ElementsAre(HasSubstr("is one call of the API")));
  EXPECT_THAT(of_endpoint("{ url: \"https://api.example.com/compatible-mode/v1\" }"), IsEmpty());
}

TEST(PoolWarnings, OfKeysThatAreEmptyOrReadableOnTheWay) {
  EXPECT_THAT(of_endpoint("{ url: \"https://api.example.com/v1\", api_key: \"${env:NONE:-}\" }"),
              ElementsAre(HasSubstr("endpoints[0].api_key is empty")));
  for (const char* far : {"api.example.com", "8.8.8.8", "172.32.0.1", "[2001:db8::1]"}) {
    EXPECT_THAT(of_endpoint(std::string("{ url: \"http://") + far + "/v1\", api_key: k }"),
                ElementsAre(HasSubstr("plain http")))
        << far;
  }
  for (const char* near : {"10.1.2.3", "172.16.0.1", "172.31.0.1", "192.168.1.1", "127.0.0.1", "vllm-0",
                           "localhost", "vllm.models.svc", "box.lan", "[fd00::1]", "[::1]"}) {
    EXPECT_THAT(of_endpoint(std::string("{ url: \"http://") + near + "/v1\", api_key: k }"), IsEmpty())
        << near;
  }
}

TEST(PoolWarnings, OfTlsThatIsNotUsedOrBelievesAnybody) {
  EXPECT_THAT(of_endpoint("{ url: \"http://10.0.0.1/v1\", tls: { server_name: a } }"),
              ElementsAre(HasSubstr("endpoints[0].tls is never used")));
  EXPECT_THAT(of_endpoint("{ url: \"https://10.0.0.1/v1\", tls: { verify: false } }"),
              ElementsAre(HasSubstr("endpoints[0].tls.verify is false")));
}

}  // namespace
}  // namespace autoglm::gateway
