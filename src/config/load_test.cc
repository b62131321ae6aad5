#include "config/load.h"

#include "config/testing/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace autoglm::config {
namespace {

using namespace std::chrono_literals;
using testing::describe_sample;
using ::testing::ElementsAre;
using testing::Sample;

std::expected<Sample, Diagnostics> from_file(const std::string& text) {
  return load(describe_sample(), {.file_name = "f.yaml", .file_text = text});
}

std::vector<std::string> mistakes(const TextSources& sources) {
  std::vector<std::string> out;
  const auto loaded = load(describe_sample(), sources);
  if (loaded) return out;
  for (const Diagnostic& diagnostic : loaded.error()) out.push_back(diagnostic.to_string());
  return out;
}

std::vector<std::string> mistakes(const std::string& text) {
  return mistakes(TextSources{.file_name = "f.yaml", .file_text = text});
}

TEST(Load, GivesTheInitializersWhenThereIsNothing) {
  const Sample sample = load(describe_sample(), TextSources{}).value();
  EXPECT_EQ(sample.server.workers, 4);
  EXPECT_TRUE(sample.models.empty());
  EXPECT_EQ(from_file("").value().server.listen.port, 8080);
  EXPECT_EQ(from_file("server:\nmodels:\n").value().server.listen.port, 8080);
}

TEST(Load, WarnsOfWhatIsValidByItsPlaceAndKey) {
  const auto descriptor = describe_sample().warn([](const Sample& sample, const Node& written) {
    std::vector<Violation> warnings;
    if (sample.server.workers > 8) warnings.push_back({"server.workers", "are many"});
    if (find(written, "limits") != nullptr) warnings.push_back({"limits", "limit"});
    return warnings;
  });
  Diagnostics warnings;
  const std::string text = "limits: { a: 1 }\nserver:\n  workers: 9\n";
  EXPECT_TRUE(load(descriptor, {.file_name = "f.yaml", .file_text = text}, &warnings));
  EXPECT_EQ(to_string(warnings),
            "f.yaml:1:9: warning: limits: limit\nf.yaml:3:12: warning: server.workers: are many\n");
  EXPECT_TRUE(load(descriptor, TextSources{}, &warnings));
  EXPECT_TRUE(warnings.empty());
  // An invalid configuration gives no warnings, whether a field or a rule refuses it.
  EXPECT_FALSE(load(descriptor, {.file_name = "f.yaml", .file_text = "server: { workers: 9 }\nx: 1\n"}));
  auto refusing =
      describe_sample().check([](const Sample&) { return std::vector<Violation>{{"server", "is wrong"}}; });
  refusing.warn([](const Sample&, const Node&) -> std::vector<Violation> {
    ADD_FAILURE() << "warnings rely upon what the checks have passed";
    return {};
  });
  EXPECT_FALSE(load(refusing, {.file_name = "f.yaml", .file_text = "server: { workers: 9 }\n"}, &warnings));
}

/// A variable in the wrong place may hold a secret.
TEST(Load, ShowsTheVariableAndNotWhatItHolds) {
  const std::string text = R"(server:
  workers: ${env:KEY}
  metrics: "x${env:KEY}"
  listen: "${env:KEY}"
  max_body: ${env:NONE:-sk-default}
models: ${env:KEY}
)";
  const auto told =
      mistakes({.file_name = "f.yaml", .file_text = text, .environment = {{"KEY", "sk-1234567"}}});
  ASSERT_EQ(told.size(), 5U);
  for (const std::string& each : told) EXPECT_EQ(each.find("sk-1"), std::string::npos) << each;
  EXPECT_EQ(told[0], "f.yaml:2:12: server.workers: must be a whole number, got \"${env:KEY}\"; write e.g. 4");
  EXPECT_NE(told[1].find("got \"x${env:KEY}\""), std::string::npos) << told[1];
  EXPECT_NE(told[4].find("must be a list, got \"${env:KEY}\""), std::string::npos) << told[4];
}

/// Rules that see a whole section quote the value they refuse, and so do warnings.
TEST(Load, ShowsTheVariableAlsoInWhatARuleSays) {
  auto descriptor = describe_sample().check([](const Sample& sample) {
    return std::vector<Violation>{{"models[0].name", "nobody serves " + sample.models[0].name}};
  });
  const TextSources sources{.file_name = "f.yaml",
                            .file_text = "models: [{ name: \"${env:KEY}\" }]\n",
                            .environment = {{"KEY", "sk-1234567"}}};
  const auto loaded = load(descriptor, sources);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(to_string(loaded.error()), "f.yaml:1:18: models[0].name: nobody serves ${env:KEY}\n");
}

TEST(Load, ReadsEveryKind) {
  const Sample sample = from_file(R"(
server: { listen: "[::1]:9000", admin: 81, workers: 0, max_body: 1GB, buffer: 64KiB, metrics: off, idle: 1m30s }
models:
  - name: a
    balance: round_robin
    api_key: 12345678
    weight: 2.5e1
    breaker: { window: 60, sleep_window: 500ms, error_percent: 100 }
    fallback: [b, c]
  - { name: b }
limits: { "team a": 3, b: 0 }
breaker: { error_percent: 1 }
)")
                            .value();
  EXPECT_EQ(sample.server.listen, (ListenAddress{"::1", 9000}));
  EXPECT_EQ(sample.server.admin.host, "0.0.0.0");
  EXPECT_EQ(sample.server.admin.port, 81);
  EXPECT_EQ(sample.server.workers, 0);
  EXPECT_EQ(sample.server.max_body.bytes, 1'000'000'000);
  EXPECT_EQ(sample.server.buffer, 65536U);
  EXPECT_FALSE(sample.server.metrics);
  EXPECT_EQ(sample.server.idle, Duration(90s));
  ASSERT_EQ(sample.models.size(), 2U);
  EXPECT_EQ(sample.models[0].balance, testing::Balance::kRoundRobin);
  EXPECT_EQ(sample.models[0].api_key, "12345678");
  EXPECT_EQ(sample.models[0].weight, 25);
  EXPECT_EQ(sample.models[0].breaker.window, Duration(1min));
  EXPECT_EQ(sample.models[0].breaker.sleep_window, Duration(500ms));
  EXPECT_THAT(sample.models[0].fallback, ElementsAre("b", "c"));
  EXPECT_EQ(sample.models[1].weight, 1.5);
  EXPECT_EQ(sample.limits.at("team a"), 3);
  EXPECT_EQ(sample.breaker.value().error_percent, 1);
}

TEST(Load, SaysEveryMistakeAtOnceInTheOrderOfTheFile) {
  EXPECT_THAT(
      mistakes(R"(server:
  listen: nowhere
  workers: 70000
  max_body: 16m
  metrics: perhaps
  idle: soon
  buffer: 8GiB
models:
  - name: ""
    balance: least_laod
    weight: -1
    breaker: { error_percent: 150, window: 2h }
  - weight: heavy
    fallback: [ok, ""]
limits: { a: x }
)"),
      ElementsAre(
          "f.yaml:2:11: server.listen: must be host:port such as 0.0.0.0:8080, [::1]:8080 or localhost:8080, "
          "got \"nowhere\"; write e.g. 0.0.0.0:8080",
          "f.yaml:3:12: server.workers: must be between 0 and 1024, got 70000; write e.g. 4",
          "f.yaml:4:13: server.max_body: must say which unit it means: MiB (1024) or MB (1000), got \"16m\"; "
          "write e.g. 16MiB",
          "f.yaml:5:12: server.metrics: must be true or false, got \"perhaps\"; write e.g. true",
          "f.yaml:6:9: server.idle: must be a duration such as 30s, 500ms, 5m or 1h, got \"soon\"; write "
          "e.g. 30s",
          "f.yaml:7:11: server.buffer: must be at most 4294967295, got \"8GiB\"; write e.g. 4KiB",
          "f.yaml:9:11: models[0].name: must not be empty; write e.g. chatglm3-6b",
          "f.yaml:10:14: models[0].balance: must be one of round_robin, least_load, got \"least_laod\"; did "
          "you "
          "mean `least_load`?",
          "f.yaml:11:13: models[0].weight: must be at least 0, got -1; write e.g. 1.5",
          "f.yaml:12:31: models[0].breaker.error_percent: must be between 1 and 100, got 150; write e.g. 50",
          "f.yaml:12:44: models[0].breaker.window: must be between 1ms and 1h, got \"2h\"; write e.g. 10s",
          "f.yaml:13:5: models[1].name: is required, e.g. chatglm3-6b",
          "f.yaml:13:13: models[1].weight: must be a number, got \"heavy\"; write e.g. 1.5",
          "f.yaml:14:20: models[1].fallback[1]: must not be empty",
          "f.yaml:15:14: limits.a: must be a whole number, got \"x\"; write e.g. 0"));
}

TEST(Load, SaysWhatAnUnknownKeyMayHaveMeant) {
  EXPECT_THAT(
      mistakes("sevrer: {}\nserver: { error_percent: 3, colour: red }\n"),
      ElementsAre(
          "f.yaml:1:1: sevrer: unknown key; did you mean `server`?",
          "f.yaml:2:11: server.error_percent: unknown key here; it belongs in `models[].breaker` or "
          "`models[].second` or `breaker`",
          "f.yaml:2:29: server.colour: unknown key; known here: listen, admin, workers, max_body, buffer, "
          "metrics, idle"));
}

TEST(Load, SaysWhichShapeIsExpected) {
  EXPECT_THAT(
      mistakes("server: 5\nmodels: { name: a }\nlimits: [1]\nbreaker: { window: [1], error_percent: }\n"),
      ElementsAre(
          "f.yaml:1:9: server: must be a mapping of keys to values, got \"5\"",
          "f.yaml:2:9: models: must be a list, got a mapping; write each element after a dash",
          "f.yaml:3:9: limits: must be a mapping of names to values, got a list",
          "f.yaml:4:20: breaker.window: must be a duration between 1ms and 1h, got a list",
          "f.yaml:4:25: breaker.error_percent: has no value; remove the key, or write an integer between 1 "
          "and 100"));
  EXPECT_THAT(mistakes("just a text"),
              ElementsAre("f.yaml:1:1: must be a mapping of keys to values, got \"just a text\""));
}

TEST(Load, ChecksFieldsAgainstEachOtherOnceEachIsValid) {
  EXPECT_THAT(mistakes("models:\n  - name: a\n    breaker:\n      window: 1s\n"),
              ElementsAre("f.yaml:4:7: models[0].breaker.sleep_window: must not exceed `window`"));
  EXPECT_THAT(
      mistakes("breaker: { sleep_window: 1m, error_percent: 0 }"),
      ElementsAre("f.yaml:1:45: breaker.error_percent: must be between 1 and 100, got 0; write e.g. 50"));
}

TEST(Load, NeverRepeatsASecret) {
  EXPECT_THAT(mistakes("models: [{ name: a, api_key: hunter2 }]"),
              ElementsAre("f.yaml:1:30: models[0].api_key: must have a length at least 8"));
}

TEST(Load, PrefersTheEnvironmentToTheFile) {
  TextSources sources{.file_name = "f.yaml", .file_text = "server: { workers: 1 }"};
  const auto workers = [&] { return load(describe_sample(), sources).value().server.workers; };
  EXPECT_EQ(workers(), 1);
  sources.environment["OPEN_AUTOGLM_SERVER_WORKERS"] = "2";
  EXPECT_EQ(workers(), 2);
}

TEST(Load, NamesTheVariableThatIsWrong) {
  EXPECT_THAT(mistakes(TextSources{.environment = {{"OPEN_AUTOGLM_SERVER_WORKERS", "many"}}}),
              ElementsAre("environment variable OPEN_AUTOGLM_SERVER_WORKERS: server.workers: must be a whole "
                          "number, got \"many\"; write e.g. 4"));
}

TEST(Load, BoundsWhatItSays) {
  std::string many;
  for (int i = 0; i < 40'000; ++i) many += "k" + std::to_string(i) + ": 1\n";
  const auto found = mistakes(many);
  ASSERT_EQ(found.size(), 101U);
  EXPECT_EQ(found.back(), "and 39900 more mistakes");
}

TEST(Load, StopsAtBrokenSyntaxWithoutGuessingWhatIsMissing) {
  const auto found = mistakes("models:\n  - {weight: 1\nserver: [\n");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].starts_with("f.yaml:3:7: YAML syntax: ") || found[0].starts_with("f.yaml:"))
      << found[0];
}

}  // namespace
}  // namespace autoglm::config
