#include "app/app_config.h"
#include "config/change.h"
#include "config/load.h"
#include "config/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::app {
namespace {

std::string file(const std::string& path) {
  std::ifstream stream(std::string(AUTOGLM_SOURCE_DIR) + "/" + path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST(AppConfig, HasAnUpToDateReference) {
  EXPECT_EQ(file("docs/reference/config.md"), config::markdown_reference(*describe_app().description()))
      << "run: build/release/bin/open-autoglm validate --reference > docs/reference/config.md";
}

TEST(AppConfig, HasAnUpToDateSchema) {
  EXPECT_EQ(file("docs/reference/config.schema.json"),
            config::json_schema(*describe_app().description(), "Open-AutoGLM"))
      << "run: build/release/bin/open-autoglm validate --schema > docs/reference/config.schema.json";
}

AppConfig app_config(const std::string& text) {
  auto read = config::load(describe_app(), {.file_name = "f.yaml", .file_text = text, .environment = {}});
  EXPECT_TRUE(read) << to_string(read.error());
  return read ? std::move(*read) : AppConfig{};
}

/// The keys that changed in `after` and wait for a restart, as a reload reports them.
std::vector<std::string> waiting(const std::string& before, const std::string& after) {
  std::vector<std::string> keys;
  for (const auto& each : config::differences(describe_app(), app_config(before), app_config(after)))
    keys.push_back(each.path + (each.live ? "" : " waits"));
  return keys;
}

TEST(AppConfig, RegistriesAreToldOfAllModelsOrOfSome) {
  const std::string before =
      "models: [{ name: a, endpoints: [{ url: 'http://h/v1' }] }]\nregister: [{ etcd: { prefix: /p/ }, "
      "models: ";
  const AppConfig all = app_config(before + "all }]");
  const AppConfig some = app_config(before + "[a] }]");
  EXPECT_THAT(all.registers[0].models.names, ::testing::IsEmpty());
  EXPECT_THAT(some.registers[0].models.names, ::testing::ElementsAre("a"));
  EXPECT_THAT(config::print(describe_app(), all), ::testing::HasSubstr("models: all"));
  EXPECT_THAT(config::print(describe_app(), some), ::testing::HasSubstr("models:\n      - \"a\""));
  EXPECT_THAT(waiting(before + "all }]", before + "[a], weight: 2 }]"),
              ::testing::ElementsAre("register[0].models[0]", "register[0].weight"));
  EXPECT_THAT(asked_registries(all),
              ::testing::ElementsAre(
                  "register[0]: POST http://127.0.0.1:2379/v3/kv/txn of a key below /p/, with a lease of "
                  "15 s; service open-autoglm, id open-autoglm-HOST-PORT, at its address towards the "
                  "registry"));
}

TEST(AppConfig, ItsKeysSayWhetherTheyWaitForARestart) {
  using ::testing::ElementsAre;
  EXPECT_THAT(waiting("server: { http2: true }", "server: { http2: false, http2_streams: 7 }"),
              ElementsAre("server.http2 waits", "server.http2_streams waits"));
  EXPECT_THAT(waiting("{}", "server: { request_timeout: 1s, drain_timeout: 1s, write_timeout: 1s }"),
              ElementsAre("server.drain_timeout", "server.request_timeout", "server.write_timeout waits"));
  EXPECT_THAT(waiting("{}", "telemetry: { metrics: false, log: { level: debug } }"),
              ElementsAre("telemetry.log.level waits", "telemetry.metrics waits"));
  const std::string pool = "models: [{ name: a, endpoints: [{ url: 'http://h/v1' }]";
  EXPECT_THAT(waiting(pool + " }]", pool + ", retry: { max_attempts: 1 } }]"),
              ElementsAre("models[a].retry.max_attempts"));
  const std::string engine = "models: [{ name: a, engine: { path: x";
  EXPECT_THAT(waiting(engine + " } }]", engine + ", sampling: { top_k: 3 }, threads: 2 } }]"),
              ElementsAre("models[a].engine.sampling.top_k waits", "models[a].engine.threads waits"));
  EXPECT_THAT(waiting(engine + " } }]", pool + " }, { name: b, engine: { path: x } }]"),
              ElementsAre("models[a].endpoints[0]", "models[a].engine", "models[b]"));
}

TEST(AppConfig, AModelsPlacesChangeWithoutARestart) {
  const std::string before = "models: [{ name: a, engine: { path: x } }, { name: b, engine: { path: y } }]";
  const std::string after =
      "models: [{ name: a, engine: { path: x }, concurrent: 3, queue: { size: 7, timeout: 2s } }, "
      "{ name: b, engine: { path: y }, concurrency: adaptive }]";
  using ::testing::ElementsAre;
  using ::testing::IsEmpty;
  EXPECT_THAT(waiting(before, after), ::testing::Each(::testing::Not(::testing::EndsWith("waits"))));
  EXPECT_THAT(bulkheads_of(app_config(before).models), IsEmpty());
  EXPECT_THAT(
      bulkheads_of(app_config(after).models),
      ElementsAre(
          gateway::BulkheadConfig{
              .name = "a", .concurrent = 3, .queue = {.size = 7, .timeout = std::chrono::seconds(2)}},
          gateway::BulkheadConfig{
              .name = "b", .queue = {.size = 1024, .timeout = std::chrono::seconds(10)}, .adaptive = true}));
}

TEST(AppConfig, WhatWaitsForARestartStaysAsItIs) {
  const AppConfig running = app_config("models: [{ name: a, engine: { path: x } }]");
  AppConfig next = app_config(
      "server: { http2: false, request_timeout: 1s }\n"
      "models: [{ name: b, engine: { path: y } }, { name: a, engine: { path: z } }]");
  config::keep_until_restart(describe_app(), running, next);
  EXPECT_TRUE(next.server.http2);
  EXPECT_EQ(next.server.request_timeout, Duration(std::chrono::seconds(1)));
  EXPECT_EQ(next.models.at(0).engine->path, "y");
  EXPECT_EQ(next.models.at(1), running.models.at(0));
}

TEST(AppConfig, PrintsNoSecrets) {
  const AppConfig config = app_config(
      "models:\n- name: a\n  endpoints:\n  - { url: 'https://h/v1?token=hush', api_key: hush, headers: { "
      "X-Key: hush } }\n- { name: b, engine: { path: 'https://h/m.gguf?sig=hush' } }\n");
  const std::string text = config::print(describe_app(), config);
  EXPECT_THAT(text, ::testing::Not(::testing::HasSubstr("hush")));
  EXPECT_THAT(text, ::testing::HasSubstr("X-Key: \"<hidden>\""));
}

TEST(AppConfig, RoomForBodiesMustTakeTheLargest) {
  const auto read = [](const char* memory) {
    return config::load(describe_app(),
                        {.file_name = "f.yaml",
                         .file_text = std::string("server: { max_body: 4MiB, body_memory: ") + memory + " }",
                         .environment = {}});
  };
  EXPECT_TRUE(read("8MiB"));
  const auto refused = read("7MiB");
  ASSERT_FALSE(refused);
  EXPECT_NE(to_string(refused.error()).find("f.yaml:1:"), std::string::npos) << to_string(refused.error());
  EXPECT_NE(to_string(refused.error()).find("server.body_memory"), std::string::npos);
}

TEST(AppConfig, HeadersForEndpointsAreLinesThatTheGatewayDoesNotWrite) {
  const auto read = [](const std::string& header) {
    return config::load(
        describe_app(),
        {.file_name = "f.yaml",
         .file_text =
             "models:\n- name: a\n  endpoints:\n  - { url: 'http://h/v1', headers: { " + header + " } }\n",
         .environment = {}});
  };
  EXPECT_TRUE(read(R"(X-Key: "a b; c=\"d\"")"));
  for (const char* header : {R"("X\r\nEvil: 1": a)", R"(X: "a\r\nEvil: 1")", R"("": a)", R"("a b": c)",
                             "Content-Length: 5", "transfer-encoding: chunked", "HOST: h"}) {
    const auto refused = read(header);
    ASSERT_FALSE(refused) << header;
    EXPECT_NE(to_string(refused.error()).find("f.yaml:4:"), std::string::npos) << to_string(refused.error());
    EXPECT_NE(to_string(refused.error()).find("headers"), std::string::npos) << to_string(refused.error());
  }
}

}  // namespace
}  // namespace autoglm::app
