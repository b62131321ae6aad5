#include "cluster/discovery/instance_shape.h"

#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

std::optional<EndpointSpec> shaped(const Instance& instance, const DiscoverConfig& config = {}) {
  std::string why;
  auto spec = endpoint_of(instance, config, why);
  EXPECT_EQ(spec.has_value(), why.empty()) << why;
  return spec;
}

TEST(InstanceShape, IsTheConfigurationsEndpointAtTheInstancesAddress) {
  DiscoverConfig config{.endpoint = {.weight = 2, .api_key = "k", .model = "m"}};
  const auto spec = shaped({.host = "10.0.0.1", .port = 8000, .weight = 3}, config);
  ASSERT_TRUE(spec);
  EXPECT_EQ(*spec,
            (EndpointSpec{.url = "http://10.0.0.1:8000/v1", .weight = 6, .api_key = "k", .model = "m"}));
  EXPECT_EQ(shaped({.host = "fe80::1", .port = 80})->url, "http://[fe80::1]:80/v1");
  config.scheme = "https";
  config.path = "/";
  EXPECT_EQ(shaped({.host = "a", .port = 443}, config)->url, "https://a:443/");
}

TEST(InstanceShape, MetadataSaysWhatTheMapNames) {
  DiscoverConfig config;
  for (const char* key : {"backup", "max_connections", "model", "path", "protocol", "scheme", "weight"})
    config.map[key] = key;
  Instance instance{.host = "a", .port = 1, .weight = 9};
  instance.metadata = {{"backup", "true"},  {"max_connections", "4"},  {"model", "theirs"},
                       {"path", "/api/v1"}, {"protocol", "anthropic"}, {"scheme", "https"},
                       {"weight", "7"}};
  EXPECT_EQ(*shaped(instance, config), (EndpointSpec{.url = "https://a:1/api/v1",
                                                     .protocol = EndpointProtocol::kAnthropic,
                                                     .weight = 7,
                                                     .backup = true,
                                                     .max_connections = 4,
                                                     .model = "theirs"}));
  instance.metadata.clear();
  EXPECT_EQ(shaped(instance, config)->weight, 9U);
}

TEST(InstanceShape, LeavesOutWhatMakesNoEndpointAndSaysWhy) {
  const DiscoverConfig config{.map = {{"weight", "w"}, {"protocol", "p"}, {"scheme", "s"}, {"backup", "b"}}};
  for (const auto& [key, value] : std::vector<std::pair<std::string, std::string>>{{"w", "0"},
                                                                                   {"w", "-1"},
                                                                                   {"w", "many"},
                                                                                   {"w", "99999999999"},
                                                                                   {"p", "grpc"},
                                                                                   {"p", "x"},
                                                                                   {"s", "ftp"},
                                                                                   {"b", "perhaps"}}) {
    Instance instance{.host = "a", .port = 1};
    instance.metadata[key] = value;
    EXPECT_FALSE(shaped(instance, config)) << key << " = " << value;
  }
  EXPECT_FALSE(shaped({.host = "a", .port = 0}));
  EXPECT_FALSE(shaped({.host = "a b", .port = 1}));
  EXPECT_FALSE(shaped({.host = "a/v1?x=", .port = 1}));
  EXPECT_FALSE(shaped({.host = "user:secret@a", .port = 1}));
}

TEST(InstanceShape, CountsWhatHasTheTagsAndTheMetadata) {
  const DiscoverConfig config{.tags = {"prod"}, .filter = {{"models", "llama*"}, {"zone", "eu"}}};
  Instance instance{.host = "a",
                    .port = 1,
                    .tags = {"gpu", "prod"},
                    .metadata = {{"models", "glm, llama-3"}, {"zone", "eu"}}};
  EXPECT_TRUE(counts(instance, config));
  instance.metadata["models"] = "glm,qwen";
  EXPECT_FALSE(counts(instance, config));
  instance.metadata["models"] = "llama-2";
  EXPECT_TRUE(counts(instance, config));
  instance.tags = {"gpu"};
  EXPECT_FALSE(counts(instance, config));
  EXPECT_TRUE(counts({.host = "a", .port = 1}, {}));
  EXPECT_FALSE(counts({.host = "a", .port = 1, .healthy = false}, {}));
}

}  // namespace
}  // namespace autoglm::cluster
