#include "cluster/registries/etcd/etcd_lease.h"

#include "base/base64.h"
#include "cluster/registries/etcd/etcd_messages.h"

#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

TEST(EtcdLease, TheValueIsAsNamingWritesIt) {
  const std::string value = etcd_naming_value({.service = "llm",
                                               .id = "a",
                                               .host = "::1",
                                               .port = 8000,
                                               .weight = 3,
                                               .tags = {"x", "y"},
                                               .metadata = {{"models", "a\"b"}}});
  EXPECT_EQ(value, R"({"Op":0,"Addr":"[::1]:8000","Metadata":{"models":"a\"b","tags":"x,y","weight":"3"}})");
  EXPECT_EQ(
      read_etcd_instance(value),
      (Instance{
          .host = "::1", .port = 8000, .metadata = {{"models", "a\"b"}, {"tags", "x,y"}, {"weight", "3"}}}))
      << "others find it";
}

TEST(EtcdLease, AKeyIsWrittenWhereNobodyIsOrNothingHasChanged) {
  const std::string key = to_base64("/a/1");
  const std::string put = R"("success":[{"request_put":{"key":")" + key +
                          R"(","value":"dg==","lease":"7"}}],)" + R"("failure":[{"request_range":{"key":")" +
                          key + R"("}}]})";
  EXPECT_EQ(etcd_write_body("/a/1", "v", 7, 0),
            R"({"compare":[{"key":")" + key +
                R"(","result":"EQUAL","target":"CREATE","create_revision":"0"}],)" + put);
  EXPECT_EQ(
      etcd_write_body("/a/1", "v", 7, 9),
      R"({"compare":[{"key":")" + key + R"(","result":"EQUAL","target":"MOD","mod_revision":"9"}],)" + put);
  EXPECT_EQ(etcd_grant_body(15), R"({"TTL":"15"})");
  EXPECT_EQ(etcd_lease_body(-5), R"({"ID":"-5"})");
}

TEST(EtcdLease, ReadsGrantsAndWhatIsKeptAlive) {
  EXPECT_EQ(read_etcd_lease(R"({"header":{},"ID":"7587","TTL":"15"})").value().id, 7587);
  EXPECT_EQ(read_etcd_lease(R"({"result":{"header":{},"ID":"7587","TTL":"15"}})").value().ttl, 15);
  EXPECT_EQ(read_etcd_lease(R"({"result":{"ID":"7587"}})").value().ttl, 0) << "it is gone";
  for (const char* wrong : {"", "[]", "{}", R"({"ID":"x"})", R"({"result":{}})", R"({"error":"no leader"})"})
    EXPECT_FALSE(read_etcd_lease(wrong)) << wrong;
}

TEST(EtcdLease, ReadsWhoHasTheKey) {
  EXPECT_TRUE(
      read_etcd_write(R"({"header":{},"succeeded":true,"responses":[{"response_put":{}}]})").value().written);
  const auto held = read_etcd_write(
      R"({"header":{},"responses":[{"response_range":{"kvs":[{"key":"YQ==","value":"dg==","lease":"7","mod_revision":"9"}],"count":"1"}}]})");
  ASSERT_TRUE(held);
  EXPECT_FALSE(held->written);
  EXPECT_EQ(held->holder->value, "v");
  EXPECT_EQ(held->holder->lease, 7);
  EXPECT_EQ(held->holder->revision, 9);
  EXPECT_FALSE(read_etcd_write(R"({"header":{},"responses":[{"response_range":{}}]})").value().holder);
  for (const char* wrong :
       {"", "[]", "{}", R"({"header":{},"responses":[{"response_range":{"kvs":[{"value":"?"}]}}]})"})
    EXPECT_FALSE(read_etcd_write(wrong)) << wrong;
}

}  // namespace
}  // namespace autoglm::cluster
