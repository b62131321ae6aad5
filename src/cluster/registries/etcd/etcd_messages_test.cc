#include "cluster/registries/etcd/etcd_messages.h"

#include "base/base64.h"

#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

std::string pair(const std::string& key, const std::string& value) {
  return R"({"key":")" + to_base64(key) + R"(","value":")" + to_base64(value) +
         R"(","create_revision":"2","mod_revision":"6"})";
}

TEST(EtcdMessages, ThePrefixsRangeEndsBehindIt) {
  EXPECT_EQ(EtcdKeys::below("/a/").end, "/a0");
  EXPECT_EQ(EtcdKeys::below("a\xff\xff").end, "b");
  EXPECT_EQ(EtcdKeys::below("\xff").end, std::string(1, '\0'));
  EXPECT_TRUE(EtcdKeys::below("/a/").has("/a/b"));
  EXPECT_FALSE(EtcdKeys::below("/a/").has("/a0"));
  EXPECT_FALSE(EtcdKeys::below("/a/").has("/a"));
  EXPECT_TRUE(EtcdKeys::below("\xff").has("\xff\xff"));
  EXPECT_TRUE(EtcdKeys{.begin = "/k"}.has("/k"));
  EXPECT_FALSE(EtcdKeys{.begin = "/k"}.has("/k2"));
  EXPECT_EQ(etcd_range_body({.begin = "/a/"}), R"({"key":"L2Ev"})");
  EXPECT_EQ(etcd_range_body(EtcdKeys::below("/a/")), R"({"key":"L2Ev","range_end":"L2Ew"})");
  EXPECT_EQ(etcd_watch_body(EtcdKeys::below("/a/"), 7),
            R"({"create_request":{"key":"L2Ev","range_end":"L2Ew","start_revision":"7"}})");
  EXPECT_EQ(etcd_login_body("a\"b", "c\n"), R"({"name":"a\"b","password":"c\n"})");
}

TEST(EtcdMessages, ReadAllKeysAtARevision) {
  const auto range = read_etcd_range(R"({"header":{"revision":"42"},"kvs":[)" + pair("/a/1", "h:1") + "," +
                                     pair("/a/2", "") + R"(],"count":"2"})");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->revision, 42);
  ASSERT_EQ(range->values.size(), 2U);
  EXPECT_EQ(range->values[0].key, "/a/1");
  EXPECT_EQ(range->values[0].value, "h:1");
  EXPECT_EQ(range->values[0].revision, 6);
  EXPECT_EQ(read_etcd_range(R"({"header":{"revision":"7"}})")->values.size(), 0U)
      << "no key: the list is left out";
  for (const char* wrong :
       {"", "[]", "{}", R"({"header":{}})", R"({"header":{"revision":"x"}})",
        R"({"header":{"revision":"1"},"kvs":[1]})", R"({"header":{"revision":"1"},"kvs":[{"key":"?"}]})"})
    EXPECT_FALSE(read_etcd_range(wrong)) << wrong;
}

TEST(EtcdMessages, ReadChangesAndTheEndOfAWatch) {
  const auto events =
      read_etcd_events(R"({"result":{"header":{"revision":"9"},"events":[{"kv":)" + pair("/a/1", "h:2") +
                       R"(},{"type":"DELETE","kv":)" + pair("/a/2", "") + "}]}}");
  ASSERT_TRUE(events);
  ASSERT_EQ(events->changes.size(), 2U);
  EXPECT_EQ(events->changes[0].value, "h:2");
  EXPECT_EQ(events->changes[1].value, std::nullopt);
  EXPECT_FALSE(events->canceled);
  EXPECT_TRUE(
      read_etcd_events(R"({"result":{"canceled":true,"compact_revision":"8","cancel_reason":"compacted"}})")
          ->canceled);
  EXPECT_TRUE(read_etcd_events(R"({"error":{"grpc_code":16,"message":"invalid auth token"}})")->canceled);
  EXPECT_EQ(read_etcd_events(R"({"result":{"created":true}})")->changes.size(), 0U);
  for (const char* wrong :
       {"", "{}", "[]", R"({"result":{"events":[{}]}})", R"({"result":{"events":[{"kv":{"key":"?"}}]}})"})
    EXPECT_FALSE(read_etcd_events(wrong)) << wrong;
}

TEST(EtcdMessages, ReadATokenOrNone) {
  EXPECT_EQ(read_etcd_token(R"({"header":{},"token":"t.1"})").value(), "t.1");
  EXPECT_FALSE(read_etcd_token(R"({"header":{}})"));
  EXPECT_FALSE(read_etcd_token(R"({"token":""})"));
}

TEST(EtcdMessages, ValuesAreWrittenInThreeWays) {
  EXPECT_EQ(read_etcd_instance(R"({"Op":0,"Addr":"10.0.0.1:8000","Metadata":{"models":"glm","weight":3}})"),
            (Instance{.host = "10.0.0.1", .port = 8000, .metadata = {{"models", "glm"}, {"weight", "3"}}}));
  EXPECT_EQ(read_etcd_instance(R"({"Op":0,"Addr":"[::1]:1","Metadata":null})"),
            (Instance{.host = "::1", .port = 1}));
  EXPECT_EQ(read_etcd_instance("a:1"), (Instance{.host = "a", .port = 1}));
  EXPECT_EQ(read_etcd_instance("https://a/v2"),
            (Instance{.host = "a", .port = 443, .metadata = {{"path", "/v2"}, {"scheme", "https"}}}));
  for (const char* wrong :
       {"", "a", "{}", R"({"Addr":1})", R"({"Op":1,"Addr":"a:1"})", "ftp://a", "{", "a:1/b"})
    EXPECT_EQ(read_etcd_instance(wrong), std::nullopt) << wrong;
}

}  // namespace
}  // namespace autoglm::cluster
