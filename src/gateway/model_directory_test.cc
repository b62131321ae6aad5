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

TEST(ModelDirectory, KeepsCallersToTheirModels) {
  FakeEndpoint endpoint("m");
  const ModelDirectory models({{.name = "alpha", .endpoint = unowned(endpoint), .aliases = {"gpt"}},
                               {.name = "beta", .endpoint = unowned(endpoint), .aliases = {"claude"}}});
  const Caller caller{.key = "k", .models = {"alpha"}};
  EXPECT_TRUE(models.find("alpha", &caller));
  EXPECT_TRUE(models.find("gpt", &caller));
  EXPECT_EQ(models.find("claude", &caller).error().reason, "model_not_allowed");
  const Error unknown = models.find("gamma", &caller).error();
  EXPECT_EQ(unknown.code, ErrorCode::kNotFound);
  EXPECT_TRUE(unknown.message.contains("alpha, gpt")) << unknown.message;
  EXPECT_FALSE(unknown.message.contains("beta")) << unknown.message;
  const Caller other{.key = "o", .models = {"beta"}};
  EXPECT_EQ(models.find("", &other).error().reason, "model_not_allowed") << "the default is another one's";
}

}  // namespace
}  // namespace autoglm::gateway
