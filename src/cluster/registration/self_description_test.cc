#include "cluster/registration/self_description.h"

#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

using enum EndpointStatus::State;
using Names = std::optional<std::vector<std::string>>;

TEST(SelfDescription, TellsOfTheModelsThatAreReadyAsReadinessDoes) {
  const std::vector<ServedModel> served = {{.name = "a", .aliases = {"x", "y"}, .state = kReady},
                                           {.name = "b", .state = kFailed},
                                           {.name = "c", .state = kLoading}};
  EXPECT_EQ(models_to_tell(served, {}, false), std::nullopt) << "one is still loading";
  EXPECT_EQ(models_to_tell(served, {}, true), (Names{{"a", "x", "y"}})) << "a reload takes nobody away";
  EXPECT_EQ(models_to_tell(served, {.names = {"a", "b"}}, false), (Names{{"a", "x", "y"}}));
  EXPECT_EQ(models_to_tell(served, {.names = {"b"}}, true), std::nullopt) << "all of them have failed";
  EXPECT_EQ(models_to_tell({}, {}, true), std::nullopt);
}

TEST(SelfDescription, OneLayoutForAllRegistries) {
  RegisterConfig config{
      .service = "llm", .address = "gpu-1", .tags = {"t"}, .metadata = {{"zone", "z"}, {"version", "blue"}}};
  config.weight = 3;
  const Registration self =
      describe_self(config, {.listen = {"::", 8443}, .tls = true, .version = "1.2"}, "gpu-1", {"a", "b"});
  EXPECT_EQ(self, (Registration{.service = "llm",
                                .id = "llm-gpu-1-8443",
                                .host = "gpu-1",
                                .port = 8443,
                                .weight = 3,
                                .tags = {"t"},
                                .metadata = {{"load", "https://gpu-1:8443/load"},
                                             {"models", "a,b"},
                                             {"path", "/v1"},
                                             {"protocol", "openai"},
                                             {"scheme", "https"},
                                             {"version", "blue"},
                                             {"zone", "z"}}}));
  config.address = "gpu-1:80";
  EXPECT_EQ(describe_self(config, {.listen = {"::", 8443}}, "gpu-1", {}).port, 80);
}

TEST(SelfDescription, AnAddressHasAPortOrNone) {
  EXPECT_EQ(read_own_address("10.0.0.1:80"), (HostPort{"10.0.0.1", 80}));
  EXPECT_EQ(read_own_address("10.0.0.1"), (HostPort{"10.0.0.1", 0}));
  EXPECT_EQ(read_own_address("gpu-1"), (HostPort{"gpu-1", 0}));
  EXPECT_EQ(read_own_address("[::1]:80"), (HostPort{"::1", 80}));
  EXPECT_EQ(read_own_address("[::1]"), (HostPort{"::1", 0}));
  EXPECT_EQ(read_own_address("fd00::1"), (HostPort{"fd00::1", 0}));
  for (const char* wrong : {"", "a b", "a/b", "http://a", "a:0", "a:99999", "a:b", ":80", "u@a", "a/"})
    EXPECT_EQ(read_own_address(wrong), std::nullopt) << wrong;
}

TEST(RegisterConfig, IsTheSameEntryWhateverStandsInIt) {
  RegisterConfig a{.service = "llm", .id = "a"};
  a.consul.emplace();
  RegisterConfig b = a;
  b.weight = 2;
  b.models = {.names = {"m"}};
  b.tags = {"t"};
  b.metadata = {{"k", "v"}};
  EXPECT_TRUE(is_same_entry(a, b));
  b.consul->connection.token = "t";
  EXPECT_FALSE(is_same_entry(a, b));
  EXPECT_EQ(registry_address(a), (HostPort{"127.0.0.1", 8500}));
}

}  // namespace
}  // namespace autoglm::cluster
