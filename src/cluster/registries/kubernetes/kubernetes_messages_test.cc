#include "cluster/registries/kubernetes/kubernetes_messages.h"

#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

using Kind = KubernetesEvent::Kind;

TEST(KubernetesMessages, AListIsReadPageByPage) {
  const auto page = read_kubernetes_list(
      R"({"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":"41","continue":"abc=","remainingItemCount":7},)"
      R"("items":[{"metadata":{"name":"llm-1"},"addressType":"IPv4"},{"addressType":"IPv6","metadata":{"name":"llm-2"}}]})");
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(page->version, "41");
  EXPECT_EQ(page->continues, "abc=");
  ASSERT_EQ(page->objects.size(), 2U);
  EXPECT_EQ(page->objects[0].name, "llm-1");
  EXPECT_EQ(page->objects[0].json, R"({"metadata":{"name":"llm-1"},"addressType":"IPv4"})");
  EXPECT_EQ(page->objects[1].name, "llm-2");
  const auto none = read_kubernetes_list(R"({"metadata":{"resourceVersion":"1"},"items":null})");
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->objects.empty() && none->continues.empty());
}

TEST(KubernetesMessages, AnythingElseIsNoList) {
  for (const char* wrong :
       {"", "[]", "null", "{}", R"({"items":[]})", R"({"metadata":{},"items":[]})",
        R"({"metadata":{"resourceVersion":1},"items":[]})", R"({"metadata":{"resourceVersion":"1"}})",
        R"({"metadata":{"resourceVersion":"1"},"items":{}})",
        R"({"metadata":{"resourceVersion":"1"},"items":[1]})",
        R"({"metadata":{"resourceVersion":"1"},"items":[{}]})",
        R"({"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":""}}]})",
        R"({"metadata":{"resourceVersion":"1"},"items":[]}x)", "<html>"})
    EXPECT_FALSE(read_kubernetes_list(wrong)) << wrong;
}

TEST(KubernetesMessages, EventsSayWhatBecameOfAnObject) {
  const std::string text =
      R"({"type":"MODIFIED","object":{"kind":"EndpointSlice","metadata":{"name":"llm-1","labels":{"name":"x"},"resourceVersion":"42"},"a":{"b":"}"}}})";
  const auto put = read_kubernetes_event(text);
  ASSERT_TRUE(put) << put.error().message;
  EXPECT_EQ(put->kind, Kind::kPut);
  EXPECT_EQ(put->name, "llm-1");
  EXPECT_EQ(put->version, "42");
  EXPECT_EQ(
      put->object,
      R"({"kind":"EndpointSlice","metadata":{"name":"llm-1","labels":{"name":"x"},"resourceVersion":"42"},"a":{"b":"}"}})");
  EXPECT_EQ(put->object.data(), text.data() + text.find(R"({"kind)"));
  const auto in_any_order =
      read_kubernetes_event(R"({"object":{"metadata":{"resourceVersion":"9","name":"a"}},"type":"DELETED"})");
  ASSERT_TRUE(in_any_order) << in_any_order.error().message;
  EXPECT_EQ(in_any_order->kind, Kind::kRemoved);
  EXPECT_EQ(in_any_order->name, "a");
  const auto bookmark = read_kubernetes_event(
      R"({"type":"BOOKMARK","object":{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":"12746"},"addressType":"","endpoints":null,"ports":null}})");
  ASSERT_TRUE(bookmark) << bookmark.error().message;
  EXPECT_EQ(bookmark->kind, Kind::kBookmark);
  EXPECT_EQ(bookmark->version, "12746");
  const auto error = read_kubernetes_event(
      R"({"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",)"
      R"("message":"The resourceVersion for the provided watch is too old.","reason":"Expired","code":410}})");
  ASSERT_TRUE(error) << error.error().message;
  EXPECT_EQ(error->kind, Kind::kError);
  EXPECT_EQ(error->status.code, 410);
  EXPECT_EQ(error->status.message, "The resourceVersion for the provided watch is too old.");
}

TEST(KubernetesMessages, AnythingElseIsNoEvent) {
  for (const char* wrong :
       {"", "{}", "[]", R"({"type":"ADDED"})", R"({"type":"ADDED","object":1})",
        R"({"type":"ADDED","object":{}})", R"({"type":"ADDED","object":{"metadata":{"name":"a"}}})",
        R"({"type":"ADDED","object":{"metadata":{"resourceVersion":"1"}}})",
        R"({"type":"ADDED","object":{"metadata":{"name":1,"resourceVersion":"1"}}})",
        R"({"type":"RENAMED","object":{"metadata":{"name":"a","resourceVersion":"1"}}})",
        R"({"type":"BOOKMARK","object":{"metadata":{}}})",
        R"({"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"1"})"})
    EXPECT_FALSE(read_kubernetes_event(wrong)) << wrong;
}

TEST(KubernetesMessages, AStatusSaysWhy) {
  const auto status = read_kubernetes_status(
      R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401})");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 401);
  EXPECT_EQ(status->message, "Unauthorized");
  for (const char* wrong : {"", "[]", "{}", R"({"code":"401"})", "<html>"})
    EXPECT_FALSE(read_kubernetes_status(wrong)) << wrong;
}

}  // namespace
}  // namespace autoglm::cluster
