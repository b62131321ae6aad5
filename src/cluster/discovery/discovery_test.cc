#include "cluster/discovery/discovery.h"

#include "cluster/testing/fake_registry.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <numeric>

#include <unistd.h>

#include <fstream>

namespace autoglm::cluster {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Keeps the URLs of what was applied last.
class KeptMembership final : public MembershipSink {
 public:
  Result<void> apply(const Membership& membership) override {
    ++applied;
    if (refuses) return fail(ErrorCode::kInvalidArgument, "as told");
    urls.clear();
    for (const auto& each : membership.endpoints) urls.push_back(each->url);
    return {};
  }
  std::vector<std::string> urls;
  int applied = 0;
  bool refuses = false;
};

class DiscoveryTest : public ::testing::Test {
 public:
  struct Fixture {
    std::vector<FakeRegistry*> registries;
    std::unique_ptr<Discovery> discovery;
  };
  /// Follows as many registries as there are configurations.
  Fixture make(std::vector<DiscoverConfig> configs, std::vector<EndpointSpec> fixed = {}) {
    Fixture made;
    std::vector<Discovery::Source> sources;
    for (DiscoverConfig& each : configs) {
      auto registry = std::make_unique<FakeRegistry>("fake " + std::to_string(made.registries.size()));
      made.registries.push_back(registry.get());
      sources.push_back({.config = std::move(each), .registry = std::move(registry)});
    }
    made.discovery = std::make_unique<Discovery>(Discovery::Options{.model = "m",
                                                                    .fixed = std::move(fixed),
                                                                    .well = [this] { return well_; },
                                                                    .changed = [this] { ++told_; }},
                                                 std::move(sources), sink_, metrics_, *log_);
    return made;
  }
  /// Runs `task` beside the discovery.
  void run(Fixture& fixture, Task<void> task) {
    run_task(loop_, [](Discovery& discovery, Task<void> inner) -> Task<void> {
      Scope scope;
      scope.spawn(discovery.run());
      co_await std::move(inner);
    }(*fixture.discovery, std::move(task)));
  }
  /// Waits until `urls` have been applied.
  Task<void> until(std::vector<std::string> urls) {
    for (int i = 0; sink_.urls != urls && i < 5000; ++i) co_await sleep_for(1ms);
    EXPECT_EQ(sink_.urls, urls);
  }
  static std::string at(int port) { return "http://10.0.0.1:" + std::to_string(port) + "/v1"; }

  EventLoop loop_;
  KeptMembership sink_;
  std::unordered_set<std::string> well_;
  int told_ = 0;
  observe::MetricRegistry metrics_;
  std::unique_ptr<observe::Logger> log_ = observe::Logger::create({.file = "/dev/null"}).value();
};

TEST_F(DiscoveryTest, PutsTheConfigurationsServersAndEachRegistrysTogether) {
  auto made = make({{}, {}}, {{.url = "http://fixed/v1"}, {.url = at(1)}});
  run(made, [](DiscoveryTest& test, Fixture& fixture) -> Task<void> {
    EXPECT_FALSE(fixture.discovery->settled());
    fixture.registries[0]->push_ports({1, 2});
    co_await test.until({"http://fixed/v1", at(1), at(2)});
    fixture.registries[1]->push_ports({3, 2});
    co_await test.until({"http://fixed/v1", at(1), at(2), at(3)});
    EXPECT_TRUE(fixture.discovery->settled());
    const auto origins = fixture.discovery->origins();
    EXPECT_EQ(origins.at(at(1)).source, "configuration");
    EXPECT_EQ(origins.at(at(2)).source, "fake 0");
    EXPECT_EQ(origins.at(at(3)).source, "fake 1");
    fixture.registries[0]->push_ports({1});
    fixture.registries[1]->push_ports({3});
    co_await test.until({"http://fixed/v1", at(1), at(3)});
  }(*this, made));
  EXPECT_EQ(told_, sink_.applied);
}

TEST_F(DiscoveryTest, TheLastListStaysWhileTheRegistryIsIll) {
  auto made = make({{}});
  run(made, [](DiscoveryTest& test, Fixture& fixture) -> Task<void> {
    fixture.registries[0]->fail("not there yet");
    EXPECT_TRUE(fixture.discovery->settled());
    fixture.registries[0]->push_ports({1, 2});
    co_await test.until({at(1), at(2)});
    const int applied = test.sink_.applied;
    for (int i = 0; i < 3; ++i) fixture.registries[0]->fail("connection refused");
    EXPECT_EQ(fixture.discovery->sources().at(0).trouble, "connection refused");
    co_await turns(20);
    EXPECT_EQ(test.sink_.applied, applied);
    fixture.registries[0]->push_ports({1, 2, 3});
    co_await test.until({at(1), at(2), at(3)});
    EXPECT_EQ(fixture.discovery->sources().at(0).trouble, "");
  }(*this, made));
  EXPECT_THAT(metrics_.serialize(),
              HasSubstr("autoglm_discovery_failures_total{model=\"m\",registry=\"fake 0\"} 4"));
}

TEST_F(DiscoveryTest, MembersThatAreDownInTurnAreLoggedOnce) {
  const std::string path = ::testing::TempDir() + std::to_string(::getpid()) + "MembersThatAreDownInTurn.log";
  log_ = observe::Logger::create({.file = path}).value();
  auto made = make({{}});
  run(made, [](Fixture& fixture) -> Task<void> {
    for (int i = 0; i < 3; ++i)
      for (const char* address : {"http://10.0.0.8:2379", "http://10.0.0.9:2379"})
        fixture.registries[0]->fail(std::string(address) + ": connection refused");
    co_return;
  }(made));
  made.discovery.reset();
  log_.reset();
  std::ifstream file(path);
  int lines = 0;
  for (std::string line; std::getline(file, line);) lines += line.contains("connection refused") ? 1 : 0;
  EXPECT_EQ(lines, 1);
}

TEST_F(DiscoveryTest, AListThatBecomesEmptyIsHeldUntilOurChecksAgree) {
  auto made = make({{.hold = 1ms}});
  run(made, [](DiscoveryTest& test, Fixture& fixture) -> Task<void> {
    test.well_ = {at(1)};
    fixture.registries[0]->push_ports({1, 2});
    co_await test.until({at(1), at(2)});
    fixture.registries[0]->push_ports({});
    EXPECT_TRUE(fixture.discovery->origins().at(at(1)).held);
    co_await test.until({at(1)});
    test.well_.clear();
    co_await test.until({});
  }(*this, made));
}

TEST_F(DiscoveryTest, ManyChangesAreHandedOverTogether) {
  auto made = make({{.max_shrink_percent = 100}});
  run(made, [](DiscoveryTest& test, Fixture& fixture) -> Task<void> {
    for (std::uint16_t i = 0; i < 1000; ++i)
      fixture.registries[0]->push_ports({1, static_cast<std::uint16_t>(2 + i)});
    co_await test.until({at(1), at(1001)});
    EXPECT_EQ(test.sink_.applied, 1);
  }(*this, made));
}

/// The numbers behind `"name":` in the lines of a log that say `message`.
std::vector<std::size_t> numbers_in(const std::string& path, const std::string& message,
                                    const std::string& name) {
  std::vector<std::size_t> numbers;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t at = line.find('"' + name + "\":");
    if (line.contains(message) && at != std::string::npos)
      numbers.push_back(std::stoull(line.substr(at + name.size() + 3)));
  }
  return numbers;
}

TEST_F(DiscoveryTest, ManyChangesAreToldInOneLineASecond) {
  const std::string path = ::testing::TempDir() + "discovery_test." + std::to_string(::getpid()) + ".log";
  log_ = observe::Logger::create({.format = observe::LogFormat::kJson, .file = path}).value();
  auto made = make({{.max_shrink_percent = 100}});
  const auto began = std::chrono::steady_clock::now();
  run(made, [](DiscoveryTest& test, Fixture& fixture, const std::string& log) -> Task<void> {
    const auto told = [&log](std::size_t wanted) -> Task<void> {
      const auto sum = [&log] {
        const auto numbers = numbers_in(log, "servers have changed", "changes");
        return std::accumulate(numbers.begin(), numbers.end(), std::size_t{0});
      };
      for (int i = 0; sum() != wanted && i < 5000; ++i) co_await sleep_for(1ms);
    };
    for (std::uint16_t i = 1; i <= 10; ++i) {
      fixture.registries[0]->push_ports({i});
      co_await test.until({at(i)});
    }
    co_await told(10);  // the last line comes by itself
    fixture.registries[0]->push_ports({11});
    co_await test.until({at(11)});
    co_await told(11);
  }(*this, made, path));
  const auto seconds = static_cast<std::size_t>((std::chrono::steady_clock::now() - began) / 1s);
  log_ = observe::Logger::create({.file = "/dev/null"}).value();
  const auto changes = numbers_in(path, "servers have changed", "changes");
  const auto came = numbers_in(path, "servers have changed", "came");
  std::filesystem::remove(path);
  ASSERT_FALSE(changes.empty());
  EXPECT_EQ(changes.front(), 1U) << "the first one is told at once";
  EXPECT_LE(changes.size(), seconds + 1);
  EXPECT_EQ(std::accumulate(changes.begin(), changes.end(), 0U), 11U);
  EXPECT_EQ(std::accumulate(came.begin(), came.end(), 0U), 11U);
}

TEST_F(DiscoveryTest, OfLongListsThatComeTogetherTheLastOneCounts) {
  auto made = make({{.max_shrink_percent = 100}});
  run(made, [](DiscoveryTest& test, Fixture& fixture) -> Task<void> {
    std::vector<std::uint16_t> ports(1000);
    std::vector<std::string> urls;
    for (std::uint16_t round = 0; round < 5; ++round) {
      std::iota(ports.begin(), ports.end(), static_cast<std::uint16_t>(1 + round));
      fixture.registries[0]->push_ports(ports);
      EXPECT_TRUE(fixture.discovery->membership().endpoints.empty()) << "it is only kept";
    }
    for (const auto port : ports) urls.push_back(at(port));
    co_await test.until(urls);
    EXPECT_EQ(test.sink_.applied, 1);
    fixture.registries[0]->push_ports({1, 2});
    co_await test.until({at(1), at(2)});
    EXPECT_EQ(fixture.discovery->sources().at(0).instances, 2U);
  }(*this, made));
}

TEST_F(DiscoveryTest, WhatTheSinkRefusesIsOfferedAgainWithTheNextChange) {
  auto made = make({{}});
  run(made, [](DiscoveryTest& test, Fixture& fixture) -> Task<void> {
    test.sink_.refuses = true;
    fixture.registries[0]->push_ports({1});
    while (test.sink_.applied == 0) co_await sleep_for(1ms);
    test.sink_.refuses = false;
    fixture.registries[0]->push_ports({1, 2});
    co_await test.until({at(1), at(2)});
  }(*this, made));
}

TEST_F(DiscoveryTest, ASuccessorKnowsWhatItsPredecessorDid) {
  auto before = make({{}, {.hold = 1h}}, {{.url = "http://fixed/v1"}});
  run(before, [](DiscoveryTest& test, Fixture& fixture) -> Task<void> {
    fixture.registries[0]->push_ports({1});
    fixture.registries[1]->push_ports({2, 3});
    co_await test.until({"http://fixed/v1", at(1), at(2), at(3)});
    fixture.registries[1]->push_ports({});
  }(*this, before));
  // Another key, another rule for holds: the servers are those of before.
  auto after =
      make({{.endpoint = {.api_key = "new"}}, {.max_shrink_percent = 60}}, {{.url = "http://other/v1"}});
  after.discovery->inherit(*before.discovery);
  before.discovery.reset();
  std::vector<std::string> urls;
  for (const auto& each : after.discovery->membership().endpoints) urls.push_back(each->url);
  EXPECT_THAT(urls, ::testing::UnorderedElementsAre("http://other/v1", at(1), at(2), at(3)));
  EXPECT_EQ(after.discovery->membership().endpoints[1]->api_key, "new");
  EXPECT_TRUE(after.discovery->origins().at(at(2)).held) << "still nobody lists it";
  EXPECT_TRUE(after.discovery->settled());
  EXPECT_FALSE(after.registries[1]->running());
}

TEST_F(DiscoveryTest, AHoldThatChangesNothingEndsAllTheSame) {
  auto made = make({{.hold = 20ms}});
  run(made, [](DiscoveryTest& test, Fixture& fixture) -> Task<void> {
    fixture.registries[0]->push_ports({1, 2});
    co_await test.until({at(1), at(2)});
    co_await sleep_for(2 * Discovery::kBetweenChanges);  // it waits for news by now
    fixture.registries[0]->push_ports({});
    co_await test.until({});
  }(*this, made));
}

TEST_F(DiscoveryTest, TwoThatAskOneRegistryHaveNamesOfTheirOwn) {
  std::vector<Discovery::Source> sources;
  for (int i = 0; i < 2; ++i)
    sources.push_back({.config = {}, .registry = std::make_unique<FakeRegistry>("dns llm")});
  const Discovery discovery({.model = "m", .fixed = {}, .well = {}}, std::move(sources), sink_, metrics_,
                            *log_);
  EXPECT_EQ(discovery.sources().at(0).name, "dns llm");
  EXPECT_EQ(discovery.sources().at(1).name, "dns llm #2");
}

TEST_F(DiscoveryTest, OtherFixedServersCountAtOnce) {
  auto made = make({{}}, {{.url = "http://fixed/v1"}});
  run(made, [](DiscoveryTest& test, Fixture& fixture) -> Task<void> {
    fixture.registries[0]->push_ports({1});
    co_await test.until({"http://fixed/v1", at(1)});
    fixture.discovery->set_fixed({});
    co_await test.until({at(1)});
  }(*this, made));
}

TEST_F(DiscoveryTest, EndsItsRegistriesWithItsTask) {
  auto made = make({{}});
  run(made, [](DiscoveryTest&, Fixture& fixture) -> Task<void> {
    EXPECT_TRUE(fixture.registries[0]->running());
    co_return;
  }(*this, made));
  made.discovery.reset();
  EXPECT_THAT(sink_.urls, IsEmpty());
}

}  // namespace
}  // namespace autoglm::cluster
