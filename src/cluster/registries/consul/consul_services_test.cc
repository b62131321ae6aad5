#include "cluster/registries/consul/consul_services.h"

#include "cluster/registries/consul/consul_registry.h"

#include <gtest/gtest.h>

namespace autoglm::cluster {
namespace {

// As Consul 1.14 answers, shortened.
constexpr std::string_view kTwo = R"([
  {"Node": {"Node": "n2", "Address": "10.0.0.2", "Datacenter": "dc1"},
   "Service": {"ID": "llm-2", "Service": "llm", "Tags": ["prod", "gpu"], "Address": "", "Meta": {"models": "glm"}, "Port": 8002,
               "Weights": {"Passing": 5, "Warning": 1}},
   "Checks": [{"CheckID": "serfHealth", "Status": "passing"}, {"CheckID": "service:llm-2", "Status": "warning"}]},
  {"Node": {"Node": "n1", "Address": "10.0.0.1"},
   "Service": {"ID": "llm-1", "Service": "llm", "Tags": null, "Address": "fe80::1", "Meta": null, "Port": 8001,
               "Weights": {"Passing": 5, "Warning": 1}},
   "Checks": [{"CheckID": "serfHealth", "Status": "passing"}]}])";

TEST(ConsulServices, AreReadSorted) {
  const Instance warned{.host = "10.0.0.2",
                        .port = 8002,
                        .weight = 1,
                        .healthy = false,
                        .tags = {"prod", "gpu"},
                        .metadata = {{"models", "glm"}}};
  const Instance well{.host = "fe80::1", .port = 8001, .weight = 5};
  EXPECT_EQ(*read_consul_services(kTwo, true), (std::vector<Instance>{warned, well}));
  Instance counted = warned;
  counted.healthy = true;
  EXPECT_EQ(*read_consul_services(kTwo, false), (std::vector<Instance>{counted, well}));
  EXPECT_EQ(read_consul_services("[]", true)->size(), 0U);
}

TEST(ConsulServices, AnythingElseIsNoAnswer) {
  for (const char* body :
       {"", "{}", "null", "[{}]", "[1]", R"([{"Service":{"Port":1}}])", R"([{"Service":{"Address":"a"}}])",
        R"([{"Service":{"Address":"a","Port":65536}}])", R"([{"Service":{"Address":"a","Port":-1}}])", "[",
        "<html>"})
    EXPECT_FALSE(read_consul_services(body, true)) << body;
}

}  // namespace
}  // namespace autoglm::cluster
