#include "gateway/protocol/openai/client_codec.h"

#include "gateway/protocol/openai/chat_codec.h"
#include "gateway/protocol/testing/said_by.h"

#include <gtest/gtest.h>

#include <map>

namespace autoglm::protocol::openai {
namespace {

const OpenAiClient kCodec;

std::string frame(const std::string& json) { return "data: " + json + "\n\n"; }
std::string delta(const std::string& json, const std::string& finish = "null") {
  return frame(R"({"id":"c","choices":[{"index":0,"delta":)" + json + R"(,"finish_reason":)" + finish +
               "}]}");
}
const std::string kUsage = frame(R"({"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":3,)"
                                 R"("prompt_tokens_details":{"cached_tokens":2}}})");
const std::string kDone = "data: [DONE]\n\n";

TEST(OpenAiClient, SaysOnlyWhatTheClientSaid) {
  EXPECT_EQ(written(kCodec, chat_request()),
            R"(/chat/completions {"model":"m","messages":[{"role":"user","content":"Hi"}],"stream":true,)"
            R"("stream_options":{"include_usage":true}})");
  InferenceRequest chosen = text_request();
  chosen.generation()->sampling.seed = 4;
  chosen.seed_chosen = true;
  EXPECT_EQ(
      written(kCodec, chosen, {.model = "their/m"}),
      R"(/completions {"model":"their/m","prompt":"Once","stream":true,"stream_options":{"include_usage":true},)"
      R"("max_tokens":null})")
      << "not OpenAI's 16 tokens";
}

TEST(OpenAiClient, ServersOfOursAreToldMore) {
  const auto rest = [](const InferenceRequest& request) {
    const std::string body = written(kCodec, request, {.ours = true, .priority = 7});
    return body.substr(body.rfind("true"));
  };
  InferenceRequest text = text_request();
  EXPECT_EQ(rest(text), R"(true},"n_predict":-1,"priority":7})");
  text.generation()->stop.max_tokens = 0;
  EXPECT_EQ(rest(text), R"(true},"n_predict":0,"priority":7})");
  text.generation()->stop.max_tokens = 3;
  text.generation()->resume = {{4}};
  EXPECT_EQ(rest(text), R"(true},"max_tokens":3,"priority":7,"resume":{"token_ids":[[4]],"created":7}})")
      << "though its own steps are not asked for";
  InferenceRequest chat = chat_request();
  chat.generation()->stop.max_tokens = 0;
  EXPECT_EQ(rest(chat), R"(true},"n_predict":0,"priority":7})");
}

TEST(OpenAiClient, ServersOfOursAreToldMoreOfVectors) {
  const auto rest = [](Work work, const EndpointTerms& terms) {
    const InferenceRequest request{.id = "r1", .model = "m", .work = std::move(work), .wire = {}};
    const std::string body = written(kCodec, request, terms);
    const std::size_t begin = body.find("\"truncate");
    return begin == std::string::npos ? body.substr(body.rfind(']') + 1) : body.substr(begin);
  };
  const EndpointTerms ours{.ours = true, .priority = 7};
  const EndpointTerms vllm{.continues_chats = true, .priority = 7};
  const EmbedRequest embed{.inputs = {TextPrompt{"a"}}, .truncates = true};
  EXPECT_EQ(rest(embed, ours), R"("truncate_prompt_tokens":-1,"priority":7})");
  EXPECT_EQ(rest(embed, vllm), R"("truncate_prompt_tokens":-1})");
  EXPECT_EQ(rest(embed, {}), R"(,"encoding_format":"float"})") << "which OpenAI would refuse";
  const EmbedRequest raw{.inputs = {TextPrompt{"a"}}, .normalized = false};
  EXPECT_EQ(rest(raw, ours), R"(,"encoding_format":"float","normalize":false,"priority":7})");
  EXPECT_EQ(rest(raw, vllm).substr(0, 10), "normalize:");
  ScoreRequest score{.queries = {"q"}, .documents = {"d"}};
  EXPECT_EQ(rest(score, ours), R"("truncate":false,"priority":7})");
  EXPECT_EQ(rest(score, vllm), R"(,"top_n":1})");
  score.truncates = true;
  EXPECT_EQ(rest(score, ours), R"("truncate":true,"priority":7})");
  EXPECT_EQ(rest(score, vllm), R"("truncate_prompt_tokens":-1})");
  score.queries = {"q", "p"};
  score.documents = {"d", "e"};
  EXPECT_EQ(rest(score, ours), R"("truncate_prompt_tokens":-1,"priority":7})");
}

TEST(OpenAiClient, SaysAllThatTheClientSaid) {
  InferenceRequest request = chat_request();
  GenerateRequest& work = *request.generation();
  auto& chat = std::get<ChatPrompt>(work.prompts.front());
  chat.tools = {{.name = "f", .description = "d", .parameters = R"({"type":"object"})"}};
  chat.tool_use = ToolUse::kRequired;
  chat.parallel_tool_calls = false;
  chat.template_arguments = {{"reasoning_effort", "\"low\""}, {"x", "1"}};
  work.n = 2;
  static_cast<SamplingNumbers&>(work.sampling) = {.temperature = 0.5, .top_k = 3};
  work.sampling.seed = 9;
  work.sampling.logit_bias = {{5, -1.5F}};
  work.stop = {.max_tokens = 7, .stop = {"a", "\""}, .stop_tokens = {2}, .min_tokens = 1};
  work.format = {.kind = OutputFormat::Kind::kJsonSchema, .definition = R"({"type":"array"})"};
  work.top_logprobs = 2;
  EXPECT_EQ(
      written(kCodec, request),
      R"(/chat/completions {"model":"m","messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"function",)"
      R"("function":{"name":"f","description":"d","parameters":{"type":"object"}}}],"tool_choice":"required",)"
      R"("parallel_tool_calls":false,"reasoning_effort":"low","chat_template_kwargs":{"x":1},"stream":true,)"
      R"("stream_options":{"include_usage":true},"n":2,"max_tokens":7,"stop":["a","\""],"stop_token_ids":[2],)"
      R"("min_tokens":1,"temperature":0.5,"top_k":3,"seed":9,"logit_bias":{"5":-1.5},"response_format":)"
      R"({"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"array"}}},"logprobs":true,)"
      R"("top_logprobs":2})");
}

/// What is written means what was read: the server codec of the same protocol reads it back.
TEST(OpenAiClient, WritesWhatTheServersCodecReads) {
  const std::string body =
      R"({"messages":[{"role":"system","content":"s"},{"role":"assistant","content":null,"tool_calls":[{"id":"1",)"
      R"("type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1",)"
      R"("content":"r"}],"temperature":0,"top_p":0.5,"min_p":0.1,"presence_penalty":1,"frequency_penalty":-1,)"
      R"("repetition_penalty":1.5,"typical_p":0.9,"top_n_sigma":2,"repeat_last_n":8,"seed":-3,"max_tokens":5,)"
      R"("stop":["x"],"include_stop_str_in_output":true,"ignore_eos":true,"bad_words":["b"],)"
      R"("allowed_token_ids":[1,2],"truncate_prompt_tokens":9,"truncation_side":"right","add_special_tokens":true,)"
      R"("cache_salt":"z","grammar":"root ::= \"a\"","n":3,"logprobs":true})";
  const auto read = [](std::string_view bytes) {
    auto call = ChatCodec().decode(bytes).value();
    return InferenceRequest{.id = "r1", .model = "m", .work = std::move(call.work), .wire = {}};
  };
  const auto once = kCodec.write(read(body), {});
  ASSERT_TRUE(once) << once.error().message;
  const auto again = kCodec.write(read(once->body), {});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->body, once->body);
  for (const char* part : {R"("seed":-3)", R"("repeat_last_n":8)", R"("truncation_side":"right")",
                           R"("grammar":"root ::= \"a\"")", R"("tool_call_id":"1")", R"("cache_salt":"z")"})
    EXPECT_NE(once->body.find(part), std::string::npos) << part << " in " << once->body;
}

TEST(OpenAiClient, RefusesWhatItCannotSayByName) {
  const auto refused = [](const auto& change, const EndpointTerms& terms = {}) {
    InferenceRequest request = text_request();
    change(*request.generation());
    const std::string why = written(kCodec, request, terms);
    return why.substr(0, why.find(':'));
  };
  EXPECT_EQ(refused([](GenerateRequest& work) { work.echo = true; }), "echo");
  EXPECT_EQ(refused([](GenerateRequest& work) { work.prompt_logprobs = 1; }), "prompt_logprobs");
  EXPECT_EQ(
      refused([](GenerateRequest& work) { work.refusal = invalid_field("messages[0].content[1]", "image"); }),
      "messages[0].content[1]");
  const auto grammar = [](GenerateRequest& work) {
    work.format = {.kind = OutputFormat::Kind::kGrammar, .definition = "root ::= \"a\""};
  };
  EXPECT_EQ(refused(grammar, {.continues_chats = true}), "grammar");
  EXPECT_EQ(refused(grammar).substr(0, 12), "/completions");
  InferenceRequest opaque = chat_request();
  opaque.work = OpaqueRequest();
  EXPECT_EQ(written(kCodec, opaque).substr(0, 5), "body:");
}

TEST(OpenAiClient, ContinuesFromTokensOrText) {
  InferenceRequest request = text_request();
  GenerateRequest& work = *request.generation();
  work.resume = {{3, 4}};
  work.sampling.seed = 6;
  request.seed_chosen = true;
  const EndpointTerms ours{.ours = true, .ask_tokens = true};
  EXPECT_EQ(
      written(kCodec, request, ours),
      R"(/completions {"model":"m","prompt":"Once","stream":true,"stream_options":{"include_usage":true},)"
      R"("n_predict":-1,"seed":6,"return_token_ids":true,"resume":{"token_ids":[[3,4]],"created":7}})");
  EXPECT_EQ(kCodec.continuation(request, ours), Continuation::kExact);
  InferenceRequest chat = chat_request();
  EXPECT_EQ(kCodec.continuation(chat, {}), Continuation::kNone);
  EXPECT_EQ(kCodec.continuation(chat, {.continues_chats = true}), Continuation::kText);
  chat.generation()->resume_text = "Hel";
  chat.generation()->resume_text_tokens = 1;
  chat.generation()->stop.max_tokens = 5;
  EXPECT_EQ(
      written(kCodec, chat, {.continues_chats = true}),
      R"(/chat/completions {"model":"m","messages":[{"role":"user","content":"Hi"},{"role":"assistant",)"
      R"("content":"Hel"}],"add_generation_prompt":false,"continue_final_message":true,"stream":true,)"
      R"("stream_options":{"include_usage":true},"max_tokens":4})");
}

TEST(OpenAiClient, ReadsAllThatAStreamSays) {
  EXPECT_EQ(
      said_by(
          kCodec, chat_request(),
          delta(R"({"role":"assistant","content":""})") + delta(R"({"reasoning_content":"hm"})") +
              delta(R"({"content":"Hé"})") + ": ping\n\n" + delta(R"({"content":"llo"})") +
              delta(
                  R"({"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]})") +
              delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]})") +
              delta(
                  R"({"tool_calls":[{"index":0,"function":{"arguments":"1}"}},{"index":1,"id":"b","function":{"name":"g","arguments":{}}}]})") +
              delta("{}", "\"tool_calls\"") + kUsage + kDone),
      "thought:hm | text:Héllo | call0(a,f) | arguments0:{\"x\":1} | call1(b,g) | arguments1:{} | tool_calls "
      "/ 5 2 3");
}

TEST(OpenAiClient, ACallIsNamedOnce) {
  const std::string part = R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"1"}}]})";
  EXPECT_EQ(said_by(kCodec, chat_request(), delta(part) + delta(part) + kDone),
            "call0(a,f) | arguments0:11 / 0 0 0");
}

TEST(OpenAiClient, ReadsLogprobsOfBothForms) {
  InferenceRequest request = text_request();
  request.generation()->top_logprobs = 1;
  EXPECT_EQ(
      said_by(kCodec, request,
              frame(R"({"choices":[{"index":0,"text":"a","logprobs":{"tokens":["a"],"token_logprobs":[-0.5],)"
                    R"("top_logprobs":[{"a":-0.5,"b":-1}],"text_offset":[0]},"finish_reason":"stop"}]})") +
                  kDone),
      "text:a | logprob a -0.5 top 2 | stop / 0 0 1");
  EXPECT_EQ(
      said_by(kCodec, chat_request(),
              frame(R"({"choices":[{"index":0,"delta":{"content":"é"},"logprobs":{"content":[{"token":"?",)"
                    R"("logprob":-0.25,"bytes":[195,169],"top_logprobs":[]}]},"finish_reason":"length"}]})") +
                  kDone),
      "text:é | logprob é -0.25 top 0 | length / 0 0 1");
}

TEST(OpenAiClient, AStepCountsWhenItsTokensAreKnown) {
  const std::string role = frame(R"({"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]})");
  const std::string text = frame(R"({"choices":[{"index":0,"delta":{"content":"a"}}]})");
  const std::string rest = frame(R"({"choices":[{"index":0,"delta":{"content":"b"},"token_ids":[4]}]})");
  const EndpointTerms ours{.ours = true, .ask_tokens = true};
  EXPECT_EQ(said_by(kCodec, chat_request(), role + text + rest + text, ours),
            "text:ab | tokens 4 / error: the endpoint's stream ended without [DONE]");
}

TEST(OpenAiClient, ErrorsAreReadWhereverTheyStand) {
  const std::string hello = delta(R"({"content":"a"})");
  const std::string busy = R"({"error":{"message":"busy","type":"overloaded_error"}})";
  for (const auto& [bytes, said] : std::map<std::string, std::string>{
           {busy, " / error: busy"},
           {frame(busy), " / error: busy"},
           {hello + frame(busy) + kDone, "text:a / error: busy"},
           {hello, "text:a / error: the endpoint's stream ended without [DONE]"},
           {hello + "data: {\"cho", "text:a / error: the endpoint's stream ended without [DONE]"},
           {"", " / error: the endpoint's stream ended without [DONE]"},
           {kDone, " / error: the endpoint ended its stream before it said anything"},
           {hello + frame("{]") + kDone, "text:a / error: the endpoint sent an event that is no JSON object"},
           {hello + delta(R"({"tool_calls":[{"index":1024}]})") + kDone,
            "text:a / error: the endpoint sent a tool call with a wrong index"},
           {hello + frame(R"({"choices":[{"index":1,"delta":{"content":"b"}}]})") + kDone,
            "text:a / error: the endpoint sent a choice that nobody asked for"},
       }) {
    EXPECT_EQ(said_by(kCodec, chat_request(), bytes), said) << bytes;
  }
}

InferenceRequest embed_request() {
  return {
      .id = "r1",
      .model = "m",
      .work =
          EmbedRequest{.inputs = {TextPrompt{"a"}, TokenPrompt{{1, 2}}}, .dimensions = 2, .truncates = true},
      .wire = {}};
}

Result<EventBatch> read_whole(const InferenceRequest& request, std::string bytes) {
  EventBatch batch;
  const auto reader = kCodec.reader(request, {});
  std::string half = bytes.substr(0, bytes.size() / 2);
  EXPECT_TRUE(reader->read(half, false, batch));
  if (auto read = reader->read(bytes, true, batch); !read) return fail(read.error());
  return batch;
}

TEST(OpenAiClient, Embeds) {
  EXPECT_EQ(written(kCodec, embed_request()),
            R"(/embeddings {"model":"m","input":["a",[1,2]],"encoding_format":"float","dimensions":2})");
  const auto batch = read_whole(embed_request(),
                                R"({"data":[{"index":1,"embedding":[0.5,1]},{"index":0,"embedding":[2,3]}],)"
                                R"("usage":{"prompt_tokens":3,"total_tokens":3}})");
  ASSERT_TRUE(batch) << batch.error().message;
  EXPECT_EQ(std::get<EmbedResult>(*batch->answer).vectors,
            (std::vector<std::vector<float>>{{2, 3}, {0.5, 1}}));
  EXPECT_EQ(batch->usage->prompt_tokens, 3U);
  for (const char* wrong : {R"({"data":[{"index":0,"embedding":[1]}]})",
                            R"({"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]})",
                            R"({"data":[{"index":0,"embedding":[1]},{"index":2,"embedding":[1]}]})",
                            R"({"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,2]}]})",
                            R"({"data":[{"index":0,"embedding":["x"]},{"index":1,"embedding":[1]}]})",
                            R"({"data":3})", "[", "{}", ""}) {
    const auto none = read_whole(embed_request(), wrong);
    ASSERT_FALSE(none) << wrong;
    EXPECT_EQ(none.error().code, ErrorCode::kBadGateway);
    EXPECT_EQ(none.error().retry, Retry::kElsewhere);
  }
  EXPECT_EQ(read_whole(embed_request(), R"({"error":{"message":"no","code":400}})").error().message, "no");
}

TEST(OpenAiClient, Scores) {
  InferenceRequest one{
      .id = "r1", .model = "m", .work = ScoreRequest{.queries = {"q"}, .documents = {"a", "b"}}, .wire = {}};
  EXPECT_EQ(written(kCodec, one), R"(/rerank {"model":"m","query":"q","documents":["a","b"],"top_n":2})");
  const auto ranked = read_whole(
      one,
      R"({"results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.1}],"usage":{"total_tokens":8}})");
  ASSERT_TRUE(ranked);
  EXPECT_EQ(std::get<ScoreResult>(*ranked->answer).scores, (std::vector<double>{0.1, 0.9}));
  EXPECT_EQ(ranked->usage->prompt_tokens, 8U);
  InferenceRequest pairs{.id = "r1",
                         .model = "m",
                         .work = ScoreRequest{.queries = {"q", "p"}, .documents = {"a", "b"}},
                         .wire = {}};
  EXPECT_EQ(written(kCodec, pairs), R"(/score {"model":"m","text_1":["q","p"],"text_2":["a","b"]})");
  EXPECT_TRUE(read_whole(pairs, R"({"data":[{"index":0,"score":1},{"index":1,"score":0}]})"));
  EXPECT_FALSE(read_whole(pairs, R"({"data":[{"index":0,"score":1}]})"));
}

TEST(OpenAiClient, PassesTheBodiesOfItsOwnClients) {
  using Protocol = WireBody::Protocol;
  for (const auto& [protocol, path] :
       std::map<Protocol, std::string>{{Protocol::kChat, "/chat/completions"},
                                       {Protocol::kCompletions, "/completions"},
                                       {Protocol::kGenerate, "/generate"},
                                       {Protocol::kEmbeddings, "/embeddings"},
                                       {Protocol::kRerank, "/rerank"},
                                       {Protocol::kScore, "/score"}}) {
    EXPECT_TRUE(kCodec.passes(protocol));
    InferenceRequest request = chat_request();
    request.wire.protocol = protocol;
    EXPECT_EQ(kCodec.passing_path(request, {}).path, path);
    EXPECT_EQ(kCodec.passing_path(request, {}).from_root, protocol == Protocol::kGenerate);
  }
  EXPECT_FALSE(kCodec.passes(Protocol::kNone));
}

}  // namespace
}  // namespace autoglm::protocol::openai
