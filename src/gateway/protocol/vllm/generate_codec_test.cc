#include "gateway/protocol/vllm/generate_codec.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::protocol::vllm {
namespace {

TEST(GenerateCodec, StreamsTheWholeTextSoFarEndedByNul) {
  auto call = GenerateCodec().decode(R"({"prompt":"Once","stream":true,"n":2})");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->generation()->stop.max_tokens, 16U);
  const auto encoder = call->make_encoder({});
  std::string out;
  encoder->events({.events = {{.choice = 0, .text = " up"}, {.choice = 1, .text = " \"a\""}}}, out);
  encoder->events({.events = {{.choice = 0, .text = "on"}, {.choice = 1, .finish = FinishReason::kLength}}},
                  out);
  encoder->end({}, out);
  const std::string nul(1, '\0');
  EXPECT_EQ(
      out, R"({"text": ["Once up", "Once \"a\""]})" + nul + R"({"text": ["Once upon", "Once \"a\""]})" + nul);
}

TEST(GenerateCodec, EndsWithANewlineByOption) {
  auto call = GenerateCodec().decode(R"({"prompt":"a","stream":true,"stream_delimiter":"\n"})");
  ASSERT_TRUE(call) << call.error().message;
  const auto encoder = call->make_encoder({});
  std::string out;
  encoder->events({.events = {{.text = "b"}}}, out);
  EXPECT_EQ(out, "{\"text\": [\"ab\"]}\n");
}

TEST(GenerateCodec, WritesTheDocument) {
  auto call = GenerateCodec().decode(R"({"prompt":"a"})");
  const auto encoder = call->make_encoder({});
  std::string out;
  encoder->events({.events = {{.text = "b"}, {.text = "c", .finish = FinishReason::kStop}}}, out);
  encoder->end({}, out);
  EXPECT_EQ(out, R"({"text": ["abc"]})");
}

TEST(GenerateCodec, RefusesAStrangeDelimiter) {
  const auto call = GenerateCodec().decode(R"({"prompt":"a","stream_delimiter":"--"})");
  ASSERT_FALSE(call);
  EXPECT_EQ(call.error().param, "stream_delimiter");
}

}  // namespace
}  // namespace autoglm::protocol::vllm
