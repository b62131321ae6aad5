#include "gateway/protocol/ollama/client_codec.h"

#include "gateway/protocol/testing/said_by.h"

#include <gtest/gtest.h>

#include <map>

namespace autoglm::protocol::ollama {
namespace {

const OllamaClient kCodec;

std::string line(const std::string& message) {
  return R"({"model":"m","message":)" + message + ",\"done\":false}\n";
}
std::string say(const std::string& text) { return line(R"({"role":"assistant","content":")" + text + "\"}"); }
std::string end(const std::string& reason) {
  return R"({"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":")" + reason +
         "\",\"prompt_eval_count\":4,\"eval_count\":2}\n";
}

TEST(OllamaClient, WritesAChat) {
  EXPECT_EQ(
      written(kCodec, chat_request()),
      R"(/api/chat {"model":"m","messages":[{"role":"user","content":"Hi"}],"stream":true,"options":{}})");
  InferenceRequest request =
      chat_request({{.role = "user", .content = "Hi"},
                    {.role = "assistant",
                     .reasoning = "hm",
                     .tool_calls = {{.id = "a", .name = "f", .arguments = R"({"x":1})"}}},
                    {.role = "tool", .content = "sun", .tool_call_id = "a"}});
  GenerateRequest& work = *request.generation();
  auto& chat = std::get<ChatPrompt>(work.prompts.front());
  chat.tools = {{.name = "f", .description = "", .parameters = "{}"}};
  chat.template_arguments = {{"reasoning_effort", "\"low\""}};
  static_cast<SamplingNumbers&>(work.sampling) = {
      .temperature = 0, .top_p = 0.5, .top_k = 3, .min_p = 0.1, .repetition_penalty = 1.5};
  work.sampling.seed = 8;
  work.sampling.penalty_window = 16;
  work.stop = {.max_tokens = 7, .stop = {"x"}};
  work.format = {.kind = OutputFormat::Kind::kJsonSchema, .definition = R"({"type":"array"})"};
  EXPECT_EQ(
      written(kCodec, request, {.model = "llama"}),
      R"(/api/chat {"model":"llama","messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"",)"
      R"("thinking":"hm","tool_calls":[{"id":"a","function":{"name":"f","arguments":{"x":1}}}]},{"role":"tool",)"
      R"("content":"sun","tool_name":"f","tool_call_id":"a"}],"tools":[{"type":"function","function":{"name":"f",)"
      R"("parameters":{}}}],"think":"low","stream":true,"format":{"type":"array"},"options":{"temperature":0,)"
      R"("top_p":0.5,"top_k":3,"min_p":0.1,"repeat_penalty":1.5,"repeat_last_n":16,"seed":8,"num_predict":7,"stop":["x"]}})");
}

TEST(OllamaClient, WritesACompletionWithoutTheTemplate) {
  EXPECT_EQ(written(kCodec, text_request()),
            R"(/api/generate {"model":"m","prompt":"Once","raw":true,"stream":true,"options":{}})");
  InferenceRequest middle = text_request();
  std::get<TextPrompt>(middle.generation()->prompts.front()).suffix = "end";
  EXPECT_EQ(written(kCodec, middle),
            R"(/api/generate {"model":"m","prompt":"Once","suffix":"end","stream":true,"options":{}})");
}

TEST(OllamaClient, RefusesWhatItCannotSayByName) {
  const auto refused = [](const auto& change) {
    InferenceRequest request = chat_request();
    change(*request.generation(), std::get<ChatPrompt>(request.generation()->prompts.front()));
    const std::string why = written(kCodec, request);
    return why.substr(0, why.find(':'));
  };
  EXPECT_EQ(refused([](GenerateRequest& w, ChatPrompt&) { w.n = 2; }), "n");
  EXPECT_EQ(refused([](GenerateRequest& w, ChatPrompt&) { w.stop.max_tokens = 0; }), "max_tokens");
  EXPECT_EQ(refused([](GenerateRequest& w, ChatPrompt&) { w.top_logprobs = 1; }), "logprobs");
  EXPECT_EQ(refused([](GenerateRequest& w, ChatPrompt&) { w.stop.ignore_eos = true; }), "ignore_eos");
  EXPECT_EQ(refused([](GenerateRequest& w, ChatPrompt&) { w.format.kind = OutputFormat::Kind::kGrammar; }),
            "grammar");
  EXPECT_EQ(refused([](GenerateRequest&, ChatPrompt& c) {
              c.tools = {{.name = "f"}};
              c.tool_use = ToolUse::kRequired;
            }),
            "tool_choice");
  EXPECT_EQ(refused([](GenerateRequest&, ChatPrompt& c) {
              c.tools = {{.name = "f"}};
              c.parallel_tool_calls = false;
            }),
            "parallel_tool_calls");
  EXPECT_EQ(refused([](GenerateRequest&, ChatPrompt& c) { c.continue_final_message = true; }),
            "continue_final_message");
  EXPECT_EQ(refused([](GenerateRequest&, ChatPrompt& c) { c.template_arguments = {{"x", "1"}}; }),
            "chat_template_kwargs.x");
  EXPECT_EQ(refused([](GenerateRequest&, ChatPrompt& c) {
              c.template_arguments = {{"reasoning_effort", "\"max\""}};
            }),
            "reasoning_effort");
  EXPECT_EQ(refused([](GenerateRequest&, ChatPrompt& c) { c.messages.push_back({.role = "assistant"}); }),
            "messages[1].role");
}

TEST(OllamaClient, ReadsLines) {
  EXPECT_EQ(
      said_by(
          kCodec, chat_request(),
          line(R"({"role":"assistant","content":"","thinking":"hm"})") + say("Hé") + "\n" + say("llo") +
              line(
                  R"({"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"x":1}}},{"id":"b","function":{"name":"g"}}]})") +
              end("stop")),
      "thought:hm | text:Héllo | call0(call_r1_0,f) | arguments0:{\"x\":1} | call1(b,g) | arguments1:{} | "
      "tool_calls / 4 0 2");
  EXPECT_EQ(said_by(kCodec, text_request(),
                    "{\"response\":\"a\",\"done\":false}\r\n{\"response\":\"b\",\"done\":true,\"done_"
                    "reason\":\"length\"}"),
            "text:ab | length / 0 0 0");
}

TEST(OllamaClient, ErrorsAreReadWhereverTheyStand) {
  for (const auto& [bytes, said] : std::map<std::string, std::string>{
           {"{\"error\":\"out of memory\"}\n", " / error: out of memory"},
           {"{\"error\":\"out of memory\"}", " / error: out of memory"},
           {say("a") + "{\"error\":\"gone\"}\n", "text:a / error: gone"},
           {say("a"), "text:a / error: the endpoint's stream ended before the answer did"},
           {say("a") + "{\"mess", "text:a / error: the endpoint sent an event that is no JSON object"},
           {"<html>\n", " / error: the endpoint sent an event that is no JSON object"},
           {"{}\n", " / error: the endpoint sent a line that is no part of an answer"},
           {"", " / error: the endpoint's stream ended before the answer did"},
       }) {
    EXPECT_EQ(said_by(kCodec, chat_request(), bytes), said) << bytes;
  }
}

TEST(OllamaClient, Embeds) {
  InferenceRequest request{
      .id = "r1",
      .model = "m",
      .work = EmbedRequest{.inputs = {TextPrompt{"a"}, TextPrompt{"b"}}, .dimensions = 2},
      .wire = {}};
  EXPECT_EQ(written(kCodec, request),
            R"(/api/embed {"model":"m","input":["a","b"],"truncate":false,"dimensions":2})");
  EventBatch batch;
  std::string bytes = R"({"embeddings":[[1,2],[3,4]],"prompt_eval_count":6})";
  ASSERT_TRUE(kCodec.reader(request, {})->read(bytes, true, batch));
  EXPECT_EQ(std::get<EmbedResult>(*batch.answer).vectors, (std::vector<std::vector<float>>{{1, 2}, {3, 4}}));
  EXPECT_EQ(batch.usage->prompt_tokens, 6U);
  for (const char* wrong : {R"({"embeddings":[[1],[1e39]]})", R"({"embeddings":[[1],[-1e300]]})",
                            R"({"embeddings":[[1],[1e999]]})", R"({"embeddings":[[1]]})",
                            R"({"embeddings":[[1],[2],[3]]})", R"({"embeddings":[[],[]]})", "{}"}) {
    std::string copy = wrong;
    EXPECT_FALSE(kCodec.reader(request, {})->read(copy, true, batch)) << wrong;
  }
}

}  // namespace
}  // namespace autoglm::protocol::ollama
