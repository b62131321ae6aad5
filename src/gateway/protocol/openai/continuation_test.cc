#include "gateway/protocol/openai/continuation.h"

#include <gtest/gtest.h>

namespace autoglm::protocol::openai {
namespace {

std::string edited(const WireBody& wire, const GenerateRequest& work) {
  return edit_members(wire.bytes, continuation_edits(wire, work).value());
}

TEST(Continuation, LengthensThePromptOfACompletion) {
  GenerateRequest work{.prompts = {TextPrompt{"Once"}}, .resume_text = " upon \"a", .resume_text_tokens = 3};
  work.stop.max_tokens = 10;
  EXPECT_EQ(edited({.protocol = WireBody::Protocol::kCompletions,
                    .bytes = R"({"prompt":"Once","max_tokens":10,"user":"x"})"},
                   work),
            R"({"prompt":"Once upon \"a","max_tokens":7,"user":"x"})");
}

TEST(Continuation, AddsTheBeginningOfAChatsAnswer) {
  GenerateRequest work{.prompts = {ChatPrompt{}}, .resume_text = "Hel", .resume_text_tokens = 1};
  work.stop.max_tokens = 1;
  EXPECT_EQ(
      edited({.protocol = WireBody::Protocol::kChat,
              .bytes = R"({"messages": [{"role":"user","content":"]"} ] ,"max_completion_tokens":1})"},
             work),
      R"({"messages": [{"role":"user","content":"]"} ,{"role":"assistant","content":"Hel"}] ,"max_completion_tokens":1,)"
      R"("add_generation_prompt":false,"continue_final_message":true})");
}

TEST(Continuation, FindsMembersHoweverTheyAreWritten) {
  GenerateRequest work{.prompts = {ChatPrompt{}}, .resume_text = "Hel", .resume_text_tokens = 1};
  work.stop.max_tokens = 9;
  EXPECT_EQ(edited({.protocol = WireBody::Protocol::kChat,
                    .bytes = R"({"messages":null,"m\u0065ssages":[{}],"messages":null,"max\u005ftokens":9,)"
                             R"("max_completion_tokens":9})"},
                   work),
            R"({"messages":[{},{"role":"assistant","content":"Hel"}],)"
            R"("m\u0065ssages":[{},{"role":"assistant","content":"Hel"}],)"
            R"("messages":[{},{"role":"assistant","content":"Hel"}],"max\u005ftokens":8,)"
            R"("max_completion_tokens":8,"add_generation_prompt":false,"continue_final_message":true})");
}

TEST(Continuation, RefusesABodyThatItCannotEdit) {
  const GenerateRequest work{.prompts = {ChatPrompt{}}, .resume_text = "Hel", .resume_text_tokens = 1};
  for (const char* bytes : {"{}", R"({"messages":null})", R"({"messages":"[]"})"}) {
    EXPECT_FALSE(continuation_edits({.protocol = WireBody::Protocol::kChat, .bytes = bytes}, work)) << bytes;
  }
}

TEST(Continuation, MakesTheRestPartOfTheFirstAnswer) {
  const auto identity =
      read_identity("data: {\"id\":\"a\",\"created\":7,\"model\":\"m\",\"choices\":[]}\n\ndata: x\n\n");
  EXPECT_EQ(identity.id, "\"a\"");
  EXPECT_EQ(identity.created, "7");
  const std::string rest =
      "data: "
      "{\"id\":\"b\",\"created\":9,\"model\":\"m2\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
      "\"assistant\",\"content\":\"\"}}]}\n\n"
      "data: "
      "{\"id\":\"b\",\"created\":9,\"model\":\"m2\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"}}"
      "]}\n\n"
      "data: {\"id\":\"b\",\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":4}}\n\n"
      "data: [DONE]\n\n";
  EXPECT_EQ(continue_frames(rest, identity, 2),
            "data: "
            "{\"id\":\"a\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":"
            "\"lo\"}}]}\n\n"
            "data: "
            "{\"id\":\"a\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":6,\"total_"
            "tokens\":16},"
            "\"created\":7,\"model\":\"m\"}\n\n"
            "data: [DONE]\n\n");
}

TEST(Continuation, EndsLinesAsTheFirstAnswerDid) {
  const AnswerIdentity identity{.id = "\"a\""};
  EXPECT_EQ(continue_frames("data: x\r\rdata: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\r\r"
                            "data: y\ndata: z\n\ndata: [DONE]\r\n\r\n",
                            identity, 1),
            "data: x\n\ndata: y\ndata: z\n\ndata: [DONE]\n\n");
  EXPECT_EQ(continue_frames("data: {\"id\":\"b\",\ndata: \"choices\":[{\"text\":\"c\"}]}\n\n", identity, 1),
            "data: {\"id\":\"a\", \"choices\":[{\"text\":\"c\"}]}\n\n");
}

TEST(Continuation, LeavesAloneWhatTextDoesNotSay) {
  EXPECT_TRUE(is_plain_text({.prompts = {TextPrompt{"x"}}}));
  EXPECT_TRUE(is_plain_text({.prompts = {ChatPrompt{}}}));
  EXPECT_FALSE(is_plain_text({.prompts = {TextPrompt{"x"}}, .n = 2}));
  EXPECT_FALSE(is_plain_text({.prompts = {TextPrompt{"x"}}, .top_logprobs = 1}));
  EXPECT_FALSE(
      is_plain_text({.prompts = {TextPrompt{"x"}}, .format = {.kind = OutputFormat::Kind::kJsonObject}}));
  EXPECT_FALSE(is_plain_text({.prompts = {ChatPrompt{.tools = {Tool{}}}}}));
  EXPECT_FALSE(is_plain_text({.prompts = {TokenPrompt{{1}}}}));
}

}  // namespace
}  // namespace autoglm::protocol::openai
