#include "config/change.h"
#include "config/load.h"
#include "config/testing/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm::config {
namespace {

using testing::Breaker;
using testing::describe_sample;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::Model;
using testing::Sample;

Sample sample() {
  Sample sample;
  sample.models = {{.name = "a", .api_key = "abcdefgh"}, {.name = "b"}};
  sample.limits = {{"x", 3}};
  sample.server.idle = std::chrono::seconds(90);
  return sample;
}

TEST(Differences, NamesKeysAndWhetherTheyAreLive) {
  const auto descriptor = describe_sample();
  const Sample before = sample();
  Sample after = before;
  EXPECT_THAT(differences(descriptor, before, after), IsEmpty());
  after.server.workers = 7;
  after.server.max_body.bytes = 7;
  after.models[0].breaker.window *= 2;
  after.models[0].api_key = "another one";
  after.limits["c"] = 1;
  after.server.idle.reset();
  EXPECT_THAT(differences(descriptor, before, after),
              ElementsAre(Difference{"limits.c", false}, Difference{"models[a].api_key", false},
                          Difference{"models[a].breaker.window", true}, Difference{"server.idle", false},
                          Difference{"server.max_body", true}, Difference{"server.workers", false}));
}

TEST(Differences, OfElementsWithAnIdentityDoNotDependOnTheirPlace) {
  const auto descriptor = describe_sample();
  const Sample before = sample();
  Sample after = before;
  std::swap(after.models[0], after.models[1]);
  EXPECT_THAT(differences(descriptor, before, after), IsEmpty());
  after.models[0] = {.name = "c"};
  EXPECT_THAT(differences(descriptor, before, after),
              ElementsAre(Difference{"models[b]", false}, Difference{"models[c]", false}));
}

TEST(Differences, WhatThereIsMayBeLiveAndWhatIsWithinNot) {
  const auto descriptor = describe_sample();
  Sample before = sample();
  Sample after = before;
  after.models[0].second = Breaker{};
  EXPECT_THAT(differences(descriptor, before, after), ElementsAre(Difference{"models[a].second", true}));
  before = after;
  after.models[0].second->sleep_window *= 2;
  EXPECT_THAT(differences(descriptor, before, after),
              ElementsAre(Difference{"models[a].second.sleep_window", false}));
}

TEST(KeepUntilRestart, LeavesWhatIsLiveAndNothingElse) {
  const auto descriptor = describe_sample();
  Sample running = sample();
  running.models[0].second = Breaker{};
  Sample after = sample();
  after.server.workers = 7;
  after.server.max_body.bytes = 7;
  after.server.idle.reset();
  after.limits["x"] = 4;
  after.models[0].second = Breaker{.sleep_window = std::chrono::seconds(1), .error_percent = 1};
  after.models[0].breaker.window = std::chrono::seconds(7);
  std::vector<Difference> live;
  for (const Difference& each : differences(descriptor, running, after))
    if (each.live) live.push_back(each);
  keep_until_restart(descriptor, running, after);
  EXPECT_EQ(differences(descriptor, running, after), live);
  EXPECT_EQ(after.server.workers, 4);
  EXPECT_EQ(after.server.max_body.bytes, 7);
  EXPECT_EQ(after.server.idle, std::chrono::seconds(90));
  EXPECT_EQ(after.limits.at("x"), 3);
  EXPECT_EQ(after.models[0].second->error_percent, 50);
  EXPECT_EQ(after.models[0].breaker.window, std::chrono::seconds(7));
}

TEST(KeepUntilRestart, ElementsOfAListThatIsNotLiveComeAndGoWithARestart) {
  const auto descriptor = describe_sample();
  const Sample running = sample();
  Sample after = running;
  after.models.pop_back();
  after.models[0].breaker.window *= 2;
  keep_until_restart(descriptor, running, after);
  EXPECT_THAT(differences(descriptor, running, after), IsEmpty());
}

}  // namespace
}  // namespace autoglm::config
