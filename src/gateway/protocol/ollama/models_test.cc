#include "gateway/protocol/ollama/models.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace autoglm::protocol::ollama {
namespace {

const ModelCard kCard{.name = "alpha",
                      .context_length = 2048,
                      .created = 1'700'000'000,
                      .sampling = {{"temperature", 0.7, "file"}, {"repetition_penalty", 1.1, "file"}},
                      .system_message = "Be \"kind\"."};

const std::string kDetails =
    R"("details":{"parent_model":"","format":"","family":"","families":[],"parameter_size":"","quantization_level":""})";

TEST(OllamaModels, ListsNamesWithATag) {
  const std::array<ModelCard, 2> cards = {kCard, ModelCard{.name = "qwen:7b"}};
  const std::string body = tags_body(cards);
  EXPECT_TRUE(body.starts_with(
      R"({"models":[{"name":"alpha:latest","model":"alpha:latest","modified_at":"2023-11-14T22:13:20.000000Z",)"
      R"("size":0,"digest":"000000000000)"))
      << body;
  EXPECT_TRUE(body.contains(R"("name":"qwen:7b")")) << body;
  EXPECT_TRUE(body.ends_with(kDetails + "}]}")) << body;
  EXPECT_EQ(tags_body({}), R"({"models":[]})");
  EXPECT_TRUE(
      ps_body(cards).contains(R"("expires_at":"9999-12-31T23:59:59Z","size_vram":0,"context_length":2048)"));
}

TEST(OllamaModels, ShowsWhatIsKnown) {
  EXPECT_EQ(
      show_body(kCard, R"({"chat_template":"{% if tools %}<think>","x":1})"),
      R"({"modelfile":"","parameters":"temperature 0.7\nrepeat_penalty 1.1\n","template":"{% if tools %}<think>",)"
      R"("system":"Be \"kind\".",)" +
          kDetails +
          R"(,"model_info":{"general.architecture":"unknown","general.name":"alpha",)"
          R"("unknown.context_length":2048},"capabilities":["completion","tools","thinking"],)"
          R"("modified_at":"2023-11-14T22:13:20.000000Z"})");
  EXPECT_TRUE(show_body(kCard, "").contains(R"("template":"","system")"));
}

TEST(OllamaModels, AModelsTaskIsWhatItCanDo) {
  const std::string_view tokenizer = R"({"chat_template":"{% if tools %}"})";
  EXPECT_TRUE(show_body({.name = "e", .task = ModelTask::kEmbed}, tokenizer)
                  .contains(R"("capabilities":["embedding"],)"));
  EXPECT_TRUE(
      show_body({.name = "r", .task = ModelTask::kRank}, tokenizer).contains(R"("capabilities":[],)"));
}

TEST(OllamaModels, ReadsNames) {
  EXPECT_EQ(read_model_name(R"({"model":"a"})").value(), "a");
  EXPECT_EQ(read_model_name(R"({"name":"b","verbose":true})").value(), "b");
  EXPECT_EQ(read_model_name("{}").error().param, "model");
  EXPECT_EQ(read_model_name(R"({"model":7})").error().param, "model");
  EXPECT_EQ(read_model_name(R"({"model":")" + std::string(70'000, 'x') + "\"}").error().code,
            ErrorCode::kPayloadTooLarge);
}

}  // namespace
}  // namespace autoglm::protocol::ollama
