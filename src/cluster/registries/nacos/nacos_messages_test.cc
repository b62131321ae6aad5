#include "cluster/registries/nacos/nacos_messages.h"

#include "cluster/registries/nacos/nacos_config.h"

#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

using namespace std::chrono_literals;

// As Nacos 3.1 answers, shortened.
std::string service(const std::string& hosts, const std::string& more = "") {
  return R"({"name":"DEFAULT_GROUP@@llm","groupName":"DEFAULT_GROUP","clusters":"","cacheMillis":10000,"hosts":[)" +
         hosts + R"(],"lastRefTime":1796125315763,"checksum":"","allIps":false)" + more + R"(,"valid":true})";
}
constexpr const char* kFirst =
    R"({"instanceId":"127.0.0.1#8001#DEFAULT#DEFAULT_GROUP@@llm","ip":"127.0.0.1","port":8001,"weight":2.5,)"
    R"("healthy":true,"enabled":true,"ephemeral":true,"clusterName":"DEFAULT","serviceName":"DEFAULT_GROUP@@llm",)"
    R"("metadata":{"models":"tiny","tags":"prod,gpu","n":null},"ipDeleteTimeout":30000})";

std::string host(int port, const std::string& more) {
  return R"({"ip":"10.0.0.1","port":)" + std::to_string(port) + more + "}";
}

TEST(NacosService, IsReadFromEachOfItsForms) {
  const Instance first{.host = "127.0.0.1",
                       .port = 8001,
                       .weight = 3,
                       .tags = {"prod", "gpu"},
                       .metadata = {{"models", "tiny"}, {"tags", "prod,gpu"}, {"cluster", "DEFAULT"}}};
  const std::string v3 = std::string(R"({"code":0,"message":"success","data":[)") + kFirst + "]}";
  const std::string pushed = R"({"headers":{},"requestId":"1","serviceInfo":)" + service(kFirst) + "}";
  for (const std::string& body : {service(kFirst), v3, pushed}) {
    const auto read = read_nacos_service(body);
    ASSERT_TRUE(read) << body;
    EXPECT_EQ(read->instances, std::vector<Instance>{first});
    EXPECT_EQ(read->fresh_for, 10s);
  }
}

TEST(NacosService, WhatIsNotToBeAskedIsNotHealthy) {
  const auto read =
      read_nacos_service(service(host(1, R"(,"weight":0.0)") + "," + host(2, R"(,"enabled":false)") + "," +
                                 host(3, R"(,"healthy":false)") + "," + host(4, R"(,"weight":0.2)") + "," +
                                 host(5, R"(,"weight":1e300)")));
  ASSERT_TRUE(read);
  std::vector<bool> healthy;
  std::vector<std::uint32_t> weights;
  for (const Instance& each : read->instances) {
    healthy.push_back(each.healthy);
    weights.push_back(each.weight);
  }
  EXPECT_EQ(healthy, (std::vector<bool>{false, false, false, true, true}));
  EXPECT_EQ(weights, (std::vector<std::uint32_t>{1, 1, 1, 1, 10'000}));
}

TEST(NacosService, BehindTheProtectionThresholdAllThatAreEnabledCount) {
  const auto read = read_nacos_service(
      service(host(1, R"(,"healthy":false)") + "," + host(2, R"(,"healthy":false,"enabled":false)"),
              R"(,"reachProtectionThreshold":true)"));
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->instances[0].healthy);
  EXPECT_FALSE(read->instances[1].healthy);
}

TEST(NacosService, TheServersPauseIsBounded) {
  const auto pause = [](const char* said) {
    return read_nacos_service(std::string(R"({"hosts":[],"cacheMillis":)") + said + "}")->fresh_for;
  };
  EXPECT_EQ(pause("3000"), 3s);
  EXPECT_EQ(pause("1"), 500ms);
  EXPECT_EQ(pause("9223372036854775807"), 60s);
  EXPECT_EQ(pause("-5"), 10s);
  EXPECT_EQ(pause("\"x\""), 10s);
}

TEST(NacosService, AnythingElseIsNoAnswer) {
  for (const char* body : {"", "[]", "null", "{}", R"({"hosts":1})", R"({"hosts":[1]})", R"({"hosts":[{}]})",
                           R"({"hosts":[{"ip":"a"}]})", R"({"hosts":[{"ip":"","port":1}]})",
                           R"({"hosts":[{"ip":"a","port":65536}]})", R"({"hosts":[{"ip":"a","port":-1}]})",
                           R"({"code":10000,"data":"parameter missing"})", "<html>"})
    EXPECT_FALSE(read_nacos_service(body)) << body;
}

TEST(NacosLogin, HasATokenAndATime) {
  const auto login = read_nacos_login(R"({"accessToken":"abc","tokenTtl":18000,"globalAdmin":true})");
  ASSERT_TRUE(login);
  EXPECT_EQ(login->token, "abc");
  EXPECT_EQ(login->valid_for, 18000s);
  EXPECT_EQ(read_nacos_login(R"({"code":0,"data":{"accessToken":"d","tokenTtl":-1}})")->valid_for, 5h);
  for (const char* body : {"", "{}", R"({"accessToken":""})", "unknown user!"})
    EXPECT_FALSE(read_nacos_login(body)) << body;
}

TEST(NacosOutcome, SaysWhatToDo) {
  for (const char* body : {"ok", R"({"code":0,"message":"success","data":"ok"})",
                           R"({"resultCode":200,"errorCode":0,"success":true})",
                           R"({"clientBeatInterval":5000,"code":10200,"lightBeatEnabled":true})"})
    EXPECT_TRUE(read_nacos_outcome(body)) << body;
  const auto code = [](const char* body) { return read_nacos_outcome(body).error().code; };
  EXPECT_EQ(code(R"({"clientBeatInterval":5000,"code":20404,"lightBeatEnabled":true})"),
            ErrorCode::kNotFound);
  EXPECT_EQ(code(R"({"code":21003,"message":"instance not found","data":null})"), ErrorCode::kNotFound);
  EXPECT_EQ(code(R"({"resultCode":500,"errorCode":403,"message":"user not found!"})"),
            ErrorCode::kPermissionDenied);
  EXPECT_EQ(code(R"({"resultCode":500,"errorCode":301,"message":"Connection is unregistered."})"),
            ErrorCode::kUnavailable);
  EXPECT_EQ(code("{}"), ErrorCode::kBadGateway);
  EXPECT_EQ(code("fail"), ErrorCode::kBadGateway);
}

TEST(NacosText, IsReadWithItsChecksum) {
  const std::string inner =
      R"({"resultCode":200,"errorCode":0,"content":"server: 1\n","md5":"843e23b3dd478db4749f676bbcab5b11","success":true})";
  for (const std::string& body : {inner, R"({"code":0,"message":"success","data":)" + inner + "}"}) {
    const auto text = read_nacos_text(body);
    ASSERT_TRUE(text) << body;
    EXPECT_EQ(text->text, "server: 1\n");
    EXPECT_EQ(text->md5, "843e23b3dd478db4749f676bbcab5b11");
  }
  for (const char* missing : {R"({"code":20004,"message":"resource not found","data":null})",
                              R"({"resultCode":500,"errorCode":300,"message":"config data not exist"})"})
    EXPECT_EQ(read_nacos_text(missing).error().code, ErrorCode::kNotFound) << missing;
  EXPECT_EQ(read_nacos_text(R"({"code":0,"data":{}})").error().code, ErrorCode::kBadGateway);
}

TEST(NacosForm, EscapesAndLeavesOutWhatIsEmpty) {
  EXPECT_EQ(nacos_form({{"a", "b c&d"}, {"e", ""}, {"f", "@@"}}), "a=b%20c%26d&f=%40%40");
  EXPECT_EQ(nacos_json({{"a", "b\"c"}, {"e", ""}}), R"({"a":"b\"c","e":""})");
}

TEST(NacosAccess, AnAddressHasTheContextPathUnlessItHasAPath) {
  EXPECT_EQ(NacosAccess{}.urls(), std::vector<std::string>{"http://127.0.0.1:8848/nacos"});
  EXPECT_EQ((NacosAccess{.addresses = {"http://a:1/", "http://b:2/ctx"}}.urls()),
            (std::vector<std::string>{"http://a:1/nacos", "http://b:2/ctx"}));
}

}  // namespace
}  // namespace autoglm::cluster
