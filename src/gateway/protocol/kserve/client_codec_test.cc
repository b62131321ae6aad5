#include "gateway/protocol/kserve/client_codec.h"

#include "gateway/protocol/testing/said_by.h"

#include <gtest/gtest.h>

#include <map>

namespace autoglm::protocol::kserve {
namespace {

TEST(TritonClient, WritesTensorRtsNames) {
  const TritonClient codec;
  InferenceRequest request = text_request("Once \"");
  GenerateRequest& work = *request.generation();
  EXPECT_EQ(written(codec, request, {.model = "ensemble"}),
            R"(/v2/models/ensemble/generate_stream {"text_input":"Once \"","parameters":{"stream":true}})");
  static_cast<SamplingNumbers&>(work.sampling) = {.temperature = 0.5, .top_k = 3, .repetition_penalty = 1.5};
  work.sampling.seed = 3;
  work.stop = {.max_tokens = 4, .stop = {"x"}};
  work.bad_words = {"b"};
  EXPECT_EQ(
      written(codec, request),
      R"(/v2/models/m/generate_stream {"text_input":"Once \"","parameters":{"stream":true,"max_tokens":4,)"
      R"("temperature":0.5,"top_k":3,"repetition_penalty":1.5,"random_seed":3,"seed":3,"stop_words":["x"],)"
      R"("bad_words":["b"]}})");
  EXPECT_EQ(written(codec, chat_request()).substr(0, 9), "messages:");
  work.top_logprobs = 1;
  EXPECT_EQ(written(codec, request).substr(0, 9), "logprobs:");
}

TEST(KserveClient, WritesTheProtocolsOwnNames) {
  const KserveClient codec;
  InferenceRequest request = text_request();
  request.generation()->stop = {.max_tokens = 4, .stop = {"x"}};
  EXPECT_EQ(
      written(codec, request),
      R"(/v2/models/m/generate_stream {"text_input":"Once","parameters":{"max_tokens":4,"stop":["x"]}})");
  request.generation()->sampling.seed = 3;
  EXPECT_EQ(written(codec, request).substr(0, 5), "seed:");
  request.seed_chosen = true;
  EXPECT_TRUE(written(codec, request).starts_with('/'));
  request.generation()->bad_words = {"b"};
  EXPECT_EQ(written(codec, request).substr(0, 10), "bad_words:");
}

TEST(KserveClient, ReadsTextsUntilTheBodyEnds) {
  const KserveClient codec;
  const auto said = [](const std::string& text, const std::string& more = "") {
    return "data: {\"model_name\":\"m\",\"text_output\":" + text + more + "}\n\n";
  };
  InferenceRequest two = text_request();
  two.generation()->stop.max_tokens = 2;
  for (const auto& [bytes, words] : std::map<std::string, std::string>{
           {said("\"Hé\"") + said("[\"llo\"]") + said("\"!\""), "text:Héllo! | stop / 0 0 3"},
           {said("\"a\"") + said("\"\"", R"(,"finish_reason":"length")"), "text:a | length / 0 0 1"},
           {said("\"a\"") + said("\"\"", R"(,"details":{"finish_reason":"stop"})"), "text:a | stop / 0 0 1"},
           {said("\"a\"") + "data: {\"error\":\"out of memory\"}\n\n", "text:a / error: out of memory"},
           {R"({"error":"no such model"})", " / error: no such model"},
           {"data: {}\n\n", " / error: the endpoint sent an event that is no part of an answer"},
           {"data: {\"te", " / error: the endpoint sent an event that is no JSON object"},
           {"", " / error: the endpoint's stream ended without an answer"},
           {"\r\r\n\xEF\xBB\xBF" + said("\"a\""), "text:a | stop / 0 0 1"},
       }) {
    EXPECT_EQ(said_by(codec, text_request(), bytes), words) << bytes;
  }
  EXPECT_EQ(said_by(codec, two, said("\"a\"") + said("\"b\"")), "text:ab | length / 0 0 2");
}

}  // namespace
}  // namespace autoglm::protocol::kserve
