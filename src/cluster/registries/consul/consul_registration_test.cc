#include "cluster/registries/consul/consul_registration.h"

#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

const Registration kSelf{.service = "llm",
                         .id = "a\"b",
                         .host = "::1",
                         .port = 8000,
                         .weight = 3,
                         .tags = {"x", "y"},
                         .metadata = {{"models", "m"}, {"scheme", "https"}}};

TEST(ConsulRegistration, WritesAServiceWithItsCheck) {
  EXPECT_EQ(consul_register_body(kSelf, {}),
            R"({"Name":"llm","ID":"a\"b","Address":"::1","Port":8000,"Tags":["x","y"],)"
            R"("Meta":{"models":"m","scheme":"https"},"Weights":{"Passing":3,"Warning":1},)"
            R"("Check":{"Status":"passing","TTL":"15s","DeregisterCriticalServiceAfter":"60s"}})");
  const std::string asked = consul_register_body(
      kSelf,
      {.check = ConsulCheck::kHttp, .ttl = std::chrono::seconds(7), .deregister_after = Duration::zero()});
  EXPECT_TRUE(asked.ends_with(
      R"("Check":{"Status":"passing","HTTP":"https://[::1]:8000/readyz","Interval":"3s","Timeout":"3s"}})"))
      << asked;
  EXPECT_TRUE(
      consul_register_body(kSelf, {.deregister_after = std::chrono::seconds(1)}).contains(R"(After":"60s")"))
      << "Consul refuses less";
}

TEST(ConsulRegistration, ReadsWhatAnAgentKnows) {
  EXPECT_EQ(read_consul_service(
                R"({"ID":"a\"b","Service":"llm","Tags":["x","y"],"Meta":{"models":"m","scheme":"https"},)"
                R"("Port":8000,"Address":"::1","Weights":{"Passing":3,"Warning":1},"Datacenter":"dc1"})")
                .value(),
            kSelf);
  EXPECT_TRUE(read_consul_service(R"({"ID":"a"})"));
  for (const char* wrong : {"", "[]", "{}", R"({"ID":""})", R"({"ID":"a","Port":65536})", R"({"ID":1})"})
    EXPECT_FALSE(read_consul_service(wrong)) << wrong;
}

TEST(ConsulRegistration, ARivalLivesElsewhereWithOurId) {
  const auto rival = [](const std::string& id, const std::string& host, int port, const std::string& status) {
    return read_consul_rival(R"([{"Node":{"Address":"10.0.0.9"},"Service":{"ID":")" + id +
                                 R"(","Address":")" + host + R"(","Port":)" + std::to_string(port) +
                                 R"(},"Checks":[{"Status":"passing"},{"Status":")" + status + R"("}]}])",
                             {.id = "a", .host = "10.0.0.1", .port = 1})
        .value()
        .value_or("none");
  };
  EXPECT_EQ(rival("a", "10.0.0.2", 1, "passing"), "10.0.0.2:1");
  EXPECT_EQ(rival("a", "10.0.0.1", 2, "warning"), "10.0.0.1:2");
  EXPECT_EQ(rival("a", "", 1, "passing"), "10.0.0.9:1") << "the node's";
  EXPECT_EQ(rival("a", "10.0.0.1", 1, "passing"), "none") << "we ourselves";
  EXPECT_EQ(rival("b", "10.0.0.2", 1, "passing"), "none");
  EXPECT_EQ(rival("a", "10.0.0.2", 1, "critical"), "none") << "the dead have no id";
  EXPECT_EQ(read_consul_rival("[]", kSelf).value(), std::nullopt);
  for (const char* wrong : {"", "{}", "[1]", R"([{"Node":{}}])"})
    EXPECT_FALSE(read_consul_rival(wrong, kSelf)) << wrong;
}

}  // namespace
}  // namespace autoglm::cluster
