#include "center/consul/consul_document.h"

#include "base/base64.h"
#include "center/testing/kept_versions.h"
#include "http/client.h"
#include "http/testing/scripted_server.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

namespace autoglm::center {
namespace {

std::string entry(int index, const std::string& value) {
  return R"([{"LockIndex":0,"Key":"a/b","Flags":0,"Value":")" + to_base64(value) + R"(","CreateIndex":1,)" +
         R"("ModifyIndex":)" + std::to_string(index) + "}]";
}
std::string answer(int index, const std::string& body, int status = 200) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nX-Consul-Index: " + std::to_string(index) +
         "\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

TEST(ConsulDocument, ReadsAnEntryOrRefusesIt) {
  EXPECT_EQ(*read_consul_key(entry(7, "a: 1")), (Version{.text = "a: 1", .version = "7"}));
  EXPECT_EQ(*read_consul_key(R"([{"Value":null,"ModifyIndex":3}])"), (Version{.text = "", .version = "3"}));
  for (const char* wrong :
       {"", "{}", "[]", "[1]", "[{}]", R"([{"ModifyIndex":"x"}])", R"([{"Value":"?","ModifyIndex":3}])"})
    EXPECT_FALSE(read_consul_key(wrong)) << wrong;
}

TEST(ConsulDocument, FollowsItsKeyThroughAbsenceAndErrors) {
  EventLoop loop;
  BlockingPool pool(1, 8);
  KeptVersions kept;
  std::string seen;
  run_task(loop, [](BlockingPool& names, KeptVersions& out, std::string& asked) -> Task<void> {
    http::ScriptedServer server({answer(5, "", 404), answer(7, entry(7, "a: 1")), answer(8, entry(7, "a: 1")),
                                 answer(9, "<html>"), answer(9, "no", 500), answer(12, entry(12, "a: 2"))});
    http::Client client(names, nullptr);
    auto document = ConsulDocument::create(
        {.connection = {.address = server.url(""), .token = "secret"}, .datacenter = "dc2", .key = "a/b c"},
        client);
    EXPECT_TRUE(document);
    EXPECT_TRUE(co_await out.follow(**document, [](const KeptVersions& each) {
      return !each.versions.empty() && each.versions.back().version == "12";
    }));
    asked = server.seen;
  }(pool, kept, seen));
  ASSERT_EQ(kept.versions.size(), 2U) << "an answer is no proof of a change";
  EXPECT_EQ(kept.versions[0], (Version{.text = "a: 1", .version = "7"}));
  EXPECT_EQ(kept.versions[1], (Version{.text = "a: 2", .version = "12"}));
  ASSERT_EQ(kept.errors.size(), 3U);
  EXPECT_TRUE(kept.errors[0].message.contains("consul kv put")) << kept.errors[0].message;
  EXPECT_TRUE(seen.starts_with("GET /v1/kv/a/b%20c?dc=dc2&index=0&wait=30s HTTP/1.1")) << seen;
  EXPECT_TRUE(seen.contains("&index=5&wait=30s")) << "it waits for a key that is not there";
  EXPECT_TRUE(seen.contains("X-Consul-Token: secret"));
}

}  // namespace
}  // namespace autoglm::center
