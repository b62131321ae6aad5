#include "gateway/model_directory.h"

#include "inference/testing/fake_endpoint.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

TEST(ModelDirectory, AModelIsFoundWithAndWithoutTheTagLatest) {
  FakeEndpoint endpoint("m");
  const ModelDirectory models({{.name = "alpha", .endpoint = unowned(endpoint), .aliases = {"gpt"}},
                               {.name = "beta:latest", .endpoint = unowned(endpoint)},
                               {.name = "gamma", .endpoint = unowned(endpoint)},
                               {.name = "gamma:latest", .endpoint = unowned(endpoint)}});
  const auto name = [&](std::string_view asked) {
    const auto found = models.find(asked);
    return found ? (*found)->name : "none";
  };
  EXPECT_EQ(name("alpha:latest"), "alpha");
  EXPECT_EQ(name("gpt:latest"), "alpha");
  EXPECT_EQ(name("beta"), "beta:latest");
  EXPECT_EQ(name("gamma"), "gamma");
  EXPECT_EQ(name("gamma:latest"), "gamma:latest") << "the very name comes first";
  EXPECT_EQ(name("alpha:7b"), "none");
  EXPECT_EQ(name(":latest"), "none");
}

}  // namespace
}  // namespace autoglm::gateway
