#include "app/load_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace autoglm::app {
namespace {

using ::testing::HasSubstr;

/// As `validate` prints them, with "FILE" for the file's name.
std::string warnings(const std::string& text) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("app-warnings-" + std::to_string(::getpid()) + ".yaml");
  std::ofstream(path) << text;
  const auto loaded = load_config({.config_file = path.string()}, {});
  std::filesystem::remove(path);
  if (!loaded) return "ERROR " + loaded.error();
  std::string out = config::to_string(loaded->warnings);
  for (std::size_t at = 0; (at = out.find(path.string())) != std::string::npos;)
    out.replace(at, path.string().size(), "FILE");
  return out;
}

std::string pool(const std::string& more, const std::string& server = "{}") {
  return "server: " + server +
         "\nmodels:\n  - name: m\n    endpoints: [ { url: \"http://10.0.0.1:8000/v1\" } ]\n    " + more +
         "\n";
}

TEST(AppWarnings, ThereAreNoneWhereNothingIsConfigured) {
  EXPECT_TRUE(load_config({}, {})->warnings.empty());
  EXPECT_TRUE(load_config({}, {{"MODEL_NAME", "none"}, {"API_TIMEOUT", "5"}})->warnings.empty());
  EXPECT_EQ(warnings(pool("")), "");
}

TEST(AppWarnings, NameFileLineAndKeyAndSayWhatToDo) {
  EXPECT_EQ(warnings("server:\n  admin_listen: 0.0.0.0:8081\n"),
            "FILE:2:17: warning: server.admin_listen: is 0.0.0.0:8081: whoever reaches it can reload, drain "
            "endpoints "
            "and read all of it; listen on 127.0.0.1, set `server.admin_token`, or ask for certificates "
            "(`server.admin_tls.client_ca`)\n");
  EXPECT_EQ(warnings("server:\n  admin_listen: 0.0.0.0:8081\n  admin_token: long enough\n"), "");
  EXPECT_THAT(warnings("server:\n  admin_token: \"\"\n"), HasSubstr("none is asked for"));
  EXPECT_THAT(warnings("server:\n  admin_token: short\n  peer_key: not long\n"),
              ::testing::AllOf(HasSubstr("ERROR"), HasSubstr("server.admin_token: is too short"),
                               HasSubstr("server.peer_key: is too short")));
  EXPECT_EQ(warnings("server:\n  admin_listen: \"[::1]:8081\"\n"), "");
  EXPECT_EQ(warnings("server:\n  admin_listen: localhost:8081\n"), "");
}

TEST(AppWarnings, OfALineBeforeAnEnginesShares) {
  const auto of = [](const std::string& model, const std::string& group) {
    return warnings("models: [{ name: m, engine: { path: x }, " + model + " }]\ngroups: [{ name: g, " +
                    group + " }]\n");
  };
  EXPECT_THAT(of("concurrent: 8", "share: 50%"),
              HasSubstr("models[0].concurrent: lets requests wait in a line"));
  EXPECT_THAT(of("concurrency: adaptive", "share: 50%"), HasSubstr("models[0].concurrency: lets"));
  EXPECT_EQ(of("concurrent: 8", "weight: 2"), "");
  EXPECT_EQ(of("concurrent: 1000", "share: 50%"), "") << "the engine refuses before";
  EXPECT_EQ(of("concurrent: 0", "share: 50%"), "");
}

TEST(AppWarnings, OfTimesThatTheServersEndFirst) {
  EXPECT_THAT(
      warnings(pool("timeouts: { first_token: 60s }")),
      HasSubstr("FILE:5:30: warning: models[0].timeouts.first_token: is 1m, but an answer that is not "
                "streamed is ended after `server.request_timeout`, 30s; set `timeouts.total`, too"));
  EXPECT_EQ(warnings(pool("timeouts: { first_token: 60s }", "{ request_timeout: 60s }")), "");
  EXPECT_EQ(warnings(pool("timeouts: { first_token: 60s, total: 600s }")), "");
  EXPECT_THAT(warnings(pool("timeouts: { total: 20s }", "{ request_timeout: 40s }")),
              HasSubstr("models[0].timeouts.total: is 20s, shorter than the 40s"));
  EXPECT_EQ(warnings(pool("timeouts: { total: 20s }")), "");  // the 30 s are a default
}

TEST(AppWarnings, OfALineWhoseWaitIsEndedFirst) {
  const auto line = [](const std::string& timeout) {
    return "models:\n  - name: m\n    endpoints: [ { url: \"http://10.0.0.1:8000/v1\", max_connections: 4 } "
           "]\n"
           "    queue: { timeout: " +
           timeout + " }\n";
  };
  EXPECT_THAT(warnings(line("31s")),
              HasSubstr("models[0].queue.timeout: is 31s, longer than `server.request_timeout`"));
  EXPECT_EQ(warnings(line("30s")), "");
}

TEST(AppWarnings, OfALineThatNothingWaitsIn) {
  EXPECT_THAT(warnings(pool("queue: { size: 10 }")), HasSubstr("models[0].queue: is never used"));
  EXPECT_EQ(warnings(pool("queue: { size: 10 }\n    concurrent: 4")), "");
  EXPECT_EQ(warnings(pool("queue: { size: 10 }\n    concurrency: adaptive")), "");
  const std::string engine =
      "models: [ { name: m, engine: { path: smollm2-135m-instruct }, queue: { size: 9 }";
  EXPECT_THAT(warnings(engine + " } ]"), HasSubstr("models[0].queue: is never used"));
  EXPECT_EQ(warnings(engine + ", concurrent: 4 } ]"), "");
}

TEST(AppWarnings, OfAJournalThatIsShorterThanTheBudgetsOfKeysElsewhere) {
  const auto kept = [](const std::string& retention, const std::string& more = "") {
    return "journal: { path: /j, retention: " + retention + " }\n" + more;
  };
  const std::string store = "key_store: { path: /k }\n";
  EXPECT_THAT(warnings(kept("7d", store)), HasSubstr("warning: journal.retention: is 7d: should a key of "
                                                     "`key_store` have a budget of a month"));
  EXPECT_THAT(warnings(kept("7d", "keys_file: /f\n")), HasSubstr("of `keys_file`"));
  EXPECT_EQ(warnings(kept("31d", store)), "");
  EXPECT_EQ(warnings(kept("7d")), "");
}

TEST(AppWarnings, BudgetsThatAJournalForgetsAreMistakes) {
  const auto told = [](const std::string& retention, const std::string& per) {
    return warnings("journal: { path: /j, retention: " + retention +
                    " }\nkeys: [ { name: a, key: xxxxxxxxxxxxxxxx, budget: { tokens: 5, per: " + per +
                    " } } ]\n");
  };
  EXPECT_THAT(told("23h", "day"), HasSubstr("journal.retention: is shorter than a day"));
  EXPECT_EQ(told("1d", "day"), "");
  EXPECT_THAT(told("30d", "month"), HasSubstr("journal.retention: is shorter than a month"));
}

TEST(AppWarnings, StandInTheOrderOfTheFile) {
  const std::string told = warnings(
      "models:\n  - name: a\n    endpoints: [ { url: \"http://10.0.0.1:8000\" } ]\n    breaker: { window: 5s "
      "}\n"
      "server: { admin_listen: 0.0.0.0:9 }\n");
  const auto url = told.find("FILE:3:");
  const auto breaker = told.find("FILE:4:");
  const auto admin = told.find("FILE:5:");
  EXPECT_LT(url, breaker);
  EXPECT_LT(breaker, admin);
  EXPECT_NE(admin, std::string::npos);
}

}  // namespace
}  // namespace autoglm::app
