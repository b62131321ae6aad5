#include "gateway/protocol/openai/outline.h"

#include "gateway/protocol/openai/chat_codec.h"
#include "gateway/protocol/openai/completions_codec.h"
#include "gateway/protocol/vllm/generate_codec.h"

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>

namespace autoglm::protocol::openai {
namespace {

using Protocol = WireBody::Protocol;

TEST(Outline, KnowsTheModelAndWhetherItStreamsOfWhatNobodyHereUnderstands) {
  constexpr const char* kBody =
      R"({"model":"m","stream":true,"temperature":3,"messages":[{"role":"user","content":[)"
      R"({"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}},{"type":"their_own"}]}]})";
  EXPECT_FALSE(ChatCodec().decode(kBody));
  const auto chat = ChatCodec().outline(kBody);
  ASSERT_TRUE(chat);
  EXPECT_EQ(chat->model, "m");
  EXPECT_TRUE(chat->stream);
  EXPECT_TRUE(std::holds_alternative<OpaqueRequest>(chat->work));
  EXPECT_EQ(chat->protocol, Protocol::kChat);
  const auto completion = CompletionsCodec().outline(R"({"prompt":{"their":"own"}})");
  ASSERT_TRUE(completion);
  EXPECT_EQ(completion->model, "");
  EXPECT_FALSE(completion->stream);
  EXPECT_TRUE(vllm::GenerateCodec().outline(R"({"prompt":"a","temperature":3})"));
}

TEST(Outline, ItsEncoderTakesChoicesThatNobodyHereKnowsOf) {
  auto chat = ChatCodec().outline(R"({"n":[3],"stream":true})");
  ASSERT_TRUE(chat);
  const auto encoder = chat->make_encoder({.id = "1", .model = "m"});
  constexpr std::uint32_t kFar = 4'000'000'000;
  encoder->passed(
      {.events = {{.choice = 1, .text = "a"}, {.choice = kFar, .text = "b"}}, .raw = "data: {}\n\n"});
  std::string out;
  encoder->events({.events = {{.text = "c"}}}, out);
  EXPECT_NE(out.find("\"content\":\"c\""), std::string::npos) << out;
}

TEST(Outline, RefusesWhatTheGatewayItselfMustKnow) {
  EXPECT_EQ(ChatCodec().outline(R"({"priority":7,"temperature":3})")->priority, 7);
  for (const char* body : {"", "[]", R"({"stream":"yes"})", R"({"model":7})", R"({"priority":-5})",
                           R"({"priority":10})", R"({"priority":"9"})"})
    EXPECT_FALSE(ChatCodec().outline(body)) << body;
}

TEST(ReadPassed, FindsTheModelInJsonAndInForms) {
  EXPECT_EQ(read_passed("application/json", R"({"input":"x","model":"e"})")->model, "e");
  EXPECT_TRUE(read_passed("application/json", R"({"model":"e","stream":true})")->stream);
  EXPECT_EQ(read_passed("application/json", "no JSON")->model, "");
  EXPECT_EQ(read_passed("", "")->model, "");
  const std::string form =
      "--b\r\nContent-Disposition: form-data; name=\"file\"; "
      "filename=\"a\"\r\n\r\nname=\"model\"\r\n\r\nno\r\n"
      "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--b--\r\n";
  EXPECT_EQ(read_passed("multipart/form-data; boundary=b", form)->model, "whisper");
  EXPECT_EQ(form_model("application/json", form), std::nullopt);
}

// A key that may use some models only could name another in a way that the server behind reads, and we did
// not.
TEST(ReadPassed, FindsTheModelHoweverTheFormSpellsItsHead) {
  const auto form = [](const std::string& head) { return "--b\r\n" + head + "\r\n\r\nx\r\n--b--\r\n"; };
  for (const char* head :
       {"content-disposition: form-data; name=\"model\"", "CONTENT-DISPOSITION:form-data;name=model",
        "Content-Disposition: form-data; filename=a; Name=model",
        "Content-Type: text/plain\r\nContent-Disposition: form-data; name=\"model\"; a=b",
        "Content-Disposition: form-data; name*=utf-8''model"})
    EXPECT_EQ(read_passed("Multipart/Form-Data; boundary=b", form(head))->model, "x") << head;
  for (const char* head : {"content-disposition: form-data; name=\"models\"", "X: form-data; name=model",
                           "Content-Disposition: form-data; filename=\"name=model\""})
    EXPECT_EQ(read_passed("multipart/form-data; boundary=b", form(head))->model, "") << head;
}

TEST(ReadPassed, RefusesAFormThatNamesTwoModels) {
  const std::string one = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\na\r\n";
  const std::string other = "--b\r\nContent-Disposition: form-data; name=model\r\n\r\nb\r\n";
  EXPECT_EQ(read_passed("multipart/form-data; boundary=b", one + one + "--b--\r\n")->model, "a");
  const auto refused = read_passed("multipart/form-data; boundary=b", one + other + "--b--\r\n");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().param, "model");
}

// Looked for again behind each of its lines, the end of this one took eleven seconds.
TEST(FormModel, ReadsAFormWithoutAnEndOnce) {
  std::string form;
  while (form.size() < 2'000'000) form += "\r\nContent-Disposition: form-data; name=\"model\"";
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(form_model("multipart/form-data; boundary=b", form + "\r\n\r\nx"), std::nullopt);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(2));
  EXPECT_EQ(form_model("multipart/form-data; boundary=b", form + "\r\n\r\nx\r\n"), "x");
}

}  // namespace
}  // namespace autoglm::protocol::openai
