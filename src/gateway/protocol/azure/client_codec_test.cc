#include "gateway/protocol/azure/client_codec.h"

#include "gateway/protocol/testing/said_by.h"

#include <gtest/gtest.h>

namespace autoglm::protocol::azure {
namespace {

TEST(AzureClient, AsksADeployment) {
  const AzureClient codec;
  InferenceRequest request = chat_request();
  request.generation()->stop.max_tokens = 5;
  EXPECT_EQ(
      written(codec, request, {.model = "my gpt/4"}),
      R"(/openai/deployments/my%20gpt%2F4/chat/completions?api-version=2024-10-21 {"model":"my gpt/4",)"
      R"("messages":[{"role":"user","content":"Hi"}],"stream":true,"stream_options":{"include_usage":true},)"
      R"("max_completion_tokens":5})");
  request.wire.protocol = WireBody::Protocol::kChat;
  EXPECT_EQ(codec.passing_path(request, {}).path,
            "/openai/deployments/m/chat/completions?api-version=2024-10-21");
  EXPECT_EQ(codec.headers("k"), (std::vector<std::pair<std::string, std::string>>{{"api-key", "k"}}));
  EXPECT_TRUE(codec.passes(WireBody::Protocol::kChat));
  EXPECT_FALSE(codec.passes(WireBody::Protocol::kGenerate));
}

}  // namespace
}  // namespace autoglm::protocol::azure
