#include "center/kubernetes/config_map_document.h"

#include "http/testing/scripted_server.h"
#include "runtime/event_loop.h"
#include "runtime/scope.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace autoglm::center {
namespace {

std::string map_of(const std::string& data, const std::string& version, const std::string& name = "ours") {
  return R"({"metadata":{"name":")" + name + R"(","resourceVersion":")" + version + "\"}" + data + "}";
}
std::string answer(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}
std::string list_of(const std::string& maps) {
  return answer(R"({"metadata":{"resourceVersion":"7"},"items":[)" + maps + "]}");
}
std::string event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}\n";
}

class KeptTexts final : public DocumentSink {
 public:
  void push(Version version) override { said.push_back(version.version + ": " + version.text); }
  void fail(const Error& error) override { said.push_back("error: " + error.message); }

  std::vector<std::string> said;
};

struct Heard {
  std::vector<std::string> said;
  std::string seen;
};

/// What the document says, and asks, while a server gives these answers, one a connection, until `count`
/// things are said.
Heard heard(std::vector<std::string> answers, std::size_t count, const std::string& key = "a.yaml") {
  Heard result;
  EventLoop loop;
  BlockingPool pool(1, 8);
  run_task(
      loop,
      [](std::vector<std::string> scripts, std::size_t enough, const std::string& wanted, BlockingPool& files,
         Heard& out) -> Task<void> {
        http::ScriptedServer server(std::move(scripts));
        http::Client client(files, nullptr);
        auto document = ConfigMapDocument::create(
            {.space = "prod", .config_map = "ours", .key = wanted, .access = {.address = server.url("")}}, {},
            client, files);
        EXPECT_TRUE(document);
        EXPECT_EQ((*document)->name(), "kubernetes prod/ours a.yaml");
        KeptTexts kept;
        {
          Scope scope;
          scope.spawn((*document)->run(kept));
          for (int i = 0; i < 10'000 && kept.said.size() < enough; ++i)
            co_await sleep_for(std::chrono::milliseconds(1));
        }
        out = {.said = std::move(kept.said), .seen = server.seen};
      }(std::move(answers), count, key, pool, result));
  return result;
}

TEST(ConfigMapDocument, SaysEachVersionOfItsKey) {
  const Heard all = heard({list_of(map_of(R"(,"data":{"b":"no","a.yaml":"x: 1\n"})", "5")),
                           answer(event("MODIFIED", map_of(R"(,"data":{"a.yaml":"x: 2\n"})", "8")) +
                                  event("MODIFIED", map_of(R"(,"data":{"a.yaml":"never"})", "9", "another")) +
                                  event("MODIFIED", map_of(R"(,"data":{"a.yaml":"x: 3\n"})", "10")))},
                          3);
  EXPECT_EQ(all.said, (std::vector<std::string>{"5: x: 1\n", "8: x: 2\n", "10: x: 3\n"}));
  EXPECT_TRUE(all.seen.starts_with(
      "GET /api/v1/namespaces/prod/configmaps?fieldSelector=metadata.name%3Dours&limit=500 HTTP/1.1"))
      << all.seen;
  EXPECT_TRUE(all.seen.contains("%3Dours&watch=1&resourceVersion=7&")) << all.seen;
}

TEST(ConfigMapDocument, WhatIsMissingIsSaidWithWhatToDo) {
  const Heard all =
      heard({list_of(""), answer(event("ADDED", map_of("", "8")) +
                                 event("MODIFIED", map_of(R"(,"data":{"b.yaml":"","c":""})", "9")) +
                                 event("MODIFIED", map_of(R"(,"binaryData":{"a.yaml":"AA=="})", "10")) +
                                 event("MODIFIED", map_of(R"(,"data":{"a.yaml":""})", "11")) +
                                 event("DELETED", map_of(R"(,"data":{"a.yaml":""})", "12")))},
            6);
  const std::string none =
      "error: there is no ConfigMap prod/ours: kubectl create configmap -n prod ours "
      "--from-file=a.yaml=open-autoglm.yaml";
  EXPECT_EQ(all.said, (std::vector<std::string>{
                          none, "error: ConfigMap prod/ours has no key a.yaml; it has none at all",
                          "error: ConfigMap prod/ours has no key a.yaml; it has b.yaml, c",
                          "error: ConfigMap prod/ours has the key a.yaml as binary data; it must be text",
                          "11: ", none}));
}

TEST(ConfigMapDocument, AnythingElseIsNoMap) {
  for (const char* wrong : {"", "[]", "{}", R"({"metadata":{}})", R"({"metadata":{"resourceVersion":""}})"}) {
    const auto read = read_config_map(wrong, "a");
    ASSERT_FALSE(read) << wrong;
    EXPECT_EQ(read.error().code, ErrorCode::kBadGateway) << wrong;
  }
  EXPECT_EQ(read_config_map(R"({"metadata":{"resourceVersion":"1"},"data":{"a":1}})", "a").error().code,
            ErrorCode::kNotFound);
}

}  // namespace
}  // namespace autoglm::center
