#include "cluster/registries/kubernetes/endpoint_slices.h"

#include <gtest/gtest.h>

#include <utility>

namespace autoglm::cluster {
namespace {

using State = SliceEndpoint::State;
using Slices = std::map<std::string, EndpointSlice>;

constexpr const char* kHttp = R"([{"name":"http","protocol":"TCP","port":8000}])";

std::string slice_of(const std::string& endpoints, const std::string& ports = kHttp,
                     const std::string& family = "IPv4") {
  return R"({"metadata":{"name":"llm-x"},"addressType":")" + family + R"(","endpoints":)" + endpoints +
         R"(,"ports":)" + ports + "}";
}
std::string endpoint_at(const std::string& address, const std::string& conditions = "{}",
                        const std::string& more = "") {
  return R"({"addresses":[")" + address + R"("],"conditions":)" + conditions + more + "}";
}
EndpointSlice read(const std::string& json, const std::string& port = "") {
  auto slice = read_endpoint_slice(json, port);
  EXPECT_TRUE(slice) << slice.error().message << json;
  return slice ? std::move(*slice) : EndpointSlice();
}
/// "10.0.0.1:8000 10.0.0.2:8000-": with a minus where it is unhealthy.
std::string merged(const Slices& slices, const std::string& port = "") {
  const auto instances = merged_slices(slices, port);
  if (!instances) return instances.error().message;
  std::string text;
  for (const Instance& each : *instances)
    text +=
        (text.empty() ? "" : " ") + each.host + ":" + std::to_string(each.port) + (each.healthy ? "" : "-");
  return text;
}

// As kube-apiserver 1.36 writes it; another port, and an application's protocol, added.
constexpr std::string_view kGolden =
    R"({"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{"name":"llm-8000","namespace":"default",)"
    R"("uid":"dc87a862-d78c-4a8b-b149-437e925cddae","resourceVersion":"203","generation":1,)"
    R"("creationTimestamp":"2026-12-01T12:10:39Z","labels":{"app":"llm","kubernetes.io/service-name":"llm","version":"2"},)"
    R"("managedFields":[{"manager":"unknown","operation":"Update","apiVersion":"discovery.k8s.io/v1",)"
    R"("time":"2026-12-01T12:10:39Z","fieldsType":"FieldsV1","fieldsV1":{"f:addressType":{},"f:endpoints":{},)"
    R"("f:metadata":{"f:labels":{".":{},"f:app":{},"f:kubernetes.io/service-name":{},"f:version":{}}},"f:ports":{}}}]},)"
    R"("addressType":"IPv4","endpoints":[{"addresses":["10.213.0.1"],"conditions":{"ready":true,"serving":true,)"
    R"("terminating":false},"hostname":"llm-0","targetRef":{"kind":"Pod","namespace":"default","name":"llm-0"},)"
    R"("nodeName":"node-1","zone":"eu-1a","hints":{"forZones":[{"name":"eu-1a"},{"name":"eu-1b"}]}}],)"
    R"("ports":[{"name":"http","protocol":"TCP","port":8000,"appProtocol":"http"},{"name":"dns","protocol":"UDP","port":53}]})";

TEST(EndpointSlices, AreReadWithAllThatIsSaidOfAnEndpoint) {
  const EndpointSlice slice = read(std::string(kGolden));
  ASSERT_EQ(slice.endpoints.size(), 1U);
  EXPECT_EQ(slice.endpoints[0].state, State::kReady);
  EXPECT_EQ(slice.endpoints[0].instance, (Instance{.host = "10.213.0.1",
                                                   .port = 8000,
                                                   .metadata = {{"app", "llm"},
                                                                {"app_protocol", "http"},
                                                                {"hints", "eu-1a,eu-1b"},
                                                                {"hostname", "llm-0"},
                                                                {"node", "node-1"},
                                                                {"pod", "llm-0"},
                                                                {"version", "2"},
                                                                {"zone", "eu-1a"}}}));
  EXPECT_FALSE(slice.ipv6);
}

TEST(EndpointSlices, ConditionsThatAreNotSaidMeanReady) {
  const auto state = [](const std::string& conditions) {
    return read(slice_of("[" + endpoint_at("10.0.0.1", conditions) + "]")).endpoints.at(0).state;
  };
  EXPECT_EQ(state("{}"), State::kReady);
  EXPECT_EQ(state("null"), State::kReady);
  EXPECT_EQ(state(R"({"ready":null,"serving":null,"terminating":null})"), State::kReady);
  EXPECT_EQ(state(R"({"ready":false})"), State::kDown);
  EXPECT_EQ(state(R"({"ready":false,"serving":true,"terminating":false})"), State::kDown);
  EXPECT_EQ(state(R"({"ready":false,"serving":true,"terminating":true})"), State::kEnding);
  EXPECT_EQ(state(R"({"ready":false,"serving":false,"terminating":true})"), State::kDown);
  EXPECT_EQ(state(R"({"ready":false,"terminating":true})"), State::kDown) << "serving as ready is";
  EXPECT_EQ(state(R"({"ready":true,"serving":true,"terminating":true})"), State::kEnding)
      << "publishNotReadyAddresses";
}

TEST(EndpointSlices, APortIsNamedOrNumberedOrTheOnlyOne) {
  const std::string both = R"([{"name":"http","port":8000},{"name":"metrics","protocol":"TCP","port":9090}])";
  const std::string two = slice_of("[" + endpoint_at("10.0.0.1") + "]", both);
  EXPECT_EQ(read(two, "http").endpoints.at(0).instance.port, 8000);
  EXPECT_EQ(read(two, "9090").endpoints.at(0).instance.port, 9090);
  EXPECT_EQ(merged({{"a", read(two)}}),
            "the service has no port or several: http 8000, metrics 9090; name one by `port`");
  EXPECT_EQ(merged({{"a", read(two, "grpc")}}, "grpc"),
            "the service has no port grpc: it has http 8000, metrics 9090");
  const std::string unnamed = slice_of("[" + endpoint_at("10.0.0.1") + "]", R"([{"name":"","port":1}])");
  EXPECT_EQ(read(unnamed).endpoints.at(0).instance.port, 1);
  // While a port is renamed, some have it and some do not.
  EXPECT_EQ(merged({{"a", read(two, "grpc")},
                    {"b", read(slice_of("[" + endpoint_at("10.0.0.2") + "]", R"([{"name":"grpc","port":2}])"),
                               "grpc")}},
                   "grpc"),
            "10.0.0.2:2");
  EXPECT_EQ(merged({{"a", read(slice_of("[]", both), "grpc")}}, "grpc"), "") << "no endpoint, no complaint";
}

TEST(EndpointSlices, AServiceWithoutPortsTakesANumber) {
  for (const char* none : {"null", "[]", R"([{"name":"dns","protocol":"UDP","port":53}])"}) {
    const std::string json = slice_of("[" + endpoint_at("10.0.0.1") + "]", none);
    EXPECT_EQ(merged({{"a", read(json, "8000")}}, "8000"), "10.0.0.1:8000") << none;
    EXPECT_EQ(merged({{"a", read(json)}}), "the service has no port or several: none; name one by `port`")
        << none;
  }
}

TEST(EndpointSlices, AnAddressInTwoSlicesIsOneInItsBestState) {
  const std::string down = R"({"ready":false})";
  const EndpointSlice a =
      read(slice_of("[" + endpoint_at("10.0.0.1", down) + "," + endpoint_at("10.0.0.2") + "]"));
  const EndpointSlice b =
      read(slice_of("[" + endpoint_at("10.0.0.1") + "," + endpoint_at("10.0.0.3", down) + "]"));
  EXPECT_EQ(merged({{"a", a}, {"b", b}}), "10.0.0.1:8000 10.0.0.2:8000 10.0.0.3:8000-");
  EXPECT_EQ(merged({{"a", b}, {"b", a}}), "10.0.0.1:8000 10.0.0.3:8000- 10.0.0.2:8000");
}

TEST(EndpointSlices, ThoseThatEndAreAskedOnlyWhenNoneIsReady) {
  const std::string ending = R"({"ready":false,"serving":true,"terminating":true})";
  const std::string gone = R"({"ready":false,"serving":false,"terminating":true})";
  const EndpointSlice leaving =
      read(slice_of("[" + endpoint_at("10.0.0.1", ending) + "," + endpoint_at("10.0.0.2", gone) + "]"));
  EXPECT_EQ(merged({{"a", leaving}}), "10.0.0.1:8000 10.0.0.2:8000-");
  EXPECT_EQ(merged({{"a", leaving}, {"b", read(slice_of("[" + endpoint_at("10.0.0.3") + "]"))}}),
            "10.0.0.1:8000- 10.0.0.2:8000- 10.0.0.3:8000");
}

TEST(EndpointSlices, APodWithBothFamiliesIsOneServer) {
  const std::string pod = R"(,"targetRef":{"kind":"Pod","name":"llm-0"})";
  const std::string other = R"(,"targetRef":{"kind":"Pod","name":"llm-1"})";
  const EndpointSlice four = read(slice_of("[" + endpoint_at("10.0.0.1", "{}", pod) + "]"));
  const EndpointSlice six =
      read(slice_of("[" + endpoint_at("fd00::1", "{}", pod) + "," + endpoint_at("fd00::2", "{}", other) +
                        "," + endpoint_at("fd00::3") + "]",
                    kHttp, "IPv6"));
  EXPECT_EQ(merged({{"a", four}, {"b", six}}), "10.0.0.1:8000 fd00::2:8000 fd00::3:8000");
  EXPECT_EQ(merged({{"b", six}}), "fd00::1:8000 fd00::2:8000 fd00::3:8000");
}

TEST(EndpointSlices, WhatHasNoAddressIsLeftOut) {
  for (const char* none : {R"({"addresses":[]})", R"({"addresses":null})", "{}", R"({"addresses":[""]})",
                           R"({"addresses":[1]})"})
    EXPECT_EQ(merged({{"a", read(slice_of("[" + std::string(none) + "," + endpoint_at("10.0.0.1") + "]"))}}),
              "10.0.0.1:8000")
        << none;
  EXPECT_EQ(merged({{"a", read(slice_of("null", "null"))}}), "") << "as it writes one without endpoints";
}

TEST(EndpointSlices, WhatEachEndpointGetsHasBounds) {
  std::string labels = R"("long":")" + std::string(400, 'x') + R"(","good":"y")";
  for (int i = 0; i < 100; ++i) labels += R"(,"n)" + std::to_string(i) + R"(":"x")";
  const EndpointSlice slice =
      read(R"({"metadata":{"labels":{)" + labels + R"(}},"endpoints":[)" + endpoint_at("10.0.0.1") +
           R"(],"ports":[{"port":1,"appProtocol":")" + std::string(400, 'x') + R"("}]})");
  const auto& metadata = slice.endpoints.at(0).instance.metadata;
  EXPECT_EQ(metadata.size(), 64U);
  EXPECT_TRUE(metadata.contains("good"));
  EXPECT_FALSE(metadata.contains("long") || metadata.contains("app_protocol"));
}

TEST(EndpointSlices, AnythingElseIsNone) {
  std::string many = "[" + endpoint_at("10.0.0.1");
  for (int i = 0; i < 10'000; ++i) many += ",{}";
  for (const std::string& wrong :
       {std::string(), std::string("[]"), std::string("<html>"), slice_of("{}"), slice_of("[1]"),
        slice_of("[]", "{}"), slice_of("[]", "[1]"), slice_of("[]", R"([{"port":65536}])"),
        slice_of("[]", R"([{"port":0}])"), slice_of("[]", R"([{"port":"http"}])"), slice_of(many + "]")})
    EXPECT_FALSE(read_endpoint_slice(wrong, "")) << wrong.substr(0, 100);
}

}  // namespace
}  // namespace autoglm::cluster
