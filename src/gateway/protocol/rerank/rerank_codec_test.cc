#include "gateway/protocol/rerank/rerank_codec.h"

#include "gateway/protocol/rerank/score_codec.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::protocol::rerank {
namespace {

ScoreRequest work_of(const Codec& codec, std::string_view body) {
  auto call = codec.decode(body);
  EXPECT_TRUE(call) << call.error().message;
  return call ? std::get<ScoreRequest>(call->work) : ScoreRequest();
}

std::string answer_to(const Codec& codec, std::string_view body, std::vector<double> scores) {
  const auto call = codec.decode(body);
  EXPECT_TRUE(call) << call.error().message;
  const auto encoder = call->make_encoder({.id = "1", .model = "m", .created = 9});
  std::string out;
  encoder->events({.answer = std::make_shared<const WholeAnswer>(ScoreResult{std::move(scores)})}, out);
  encoder->end({.prompt_tokens = 7}, out);
  return out;
}

TEST(RerankCodec, ReadsTextsAndObjectsWithTexts) {
  const auto work = work_of(RerankCodec(), R"({"query":"q","documents":["a",{"text":"b","title":"t"}]})");
  EXPECT_EQ(work.queries, std::vector<std::string>{"q"});
  EXPECT_EQ(work.documents, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(work.truncates);
}

TEST(RerankCodec, TheBestComesFirst) {
  EXPECT_EQ(answer_to(RerankCodec(), R"({"query":"q","documents":["a","b","c"]})", {0.25, 0.75, 0.5}),
            R"({"id":"rerank-1","object":"list","created":9,"model":"m","results":[)"
            R"({"index":1,"relevance_score":0.75},{"index":2,"relevance_score":0.5},)"
            R"({"index":0,"relevance_score":0.25}],"usage":{"prompt_tokens":7,"total_tokens":7},)"
            R"("meta":{"api_version":{"version":"2"},"billed_units":{"search_units":1}}})");
}

TEST(RerankCodec, ShowsTheBestWithTheirTexts) {
  const std::string answer = answer_to(
      RerankCodec(), R"({"query":"q","documents":["a","b\"","c"],"top_n":1,"return_documents":true})",
      {0.25, 0.75, 0.5});
  EXPECT_NE(answer.find(R"("results":[{"index":1,"relevance_score":0.75,"document":{"text":"b\""}}])"),
            std::string::npos)
      << answer;
}

TEST(RerankCodec, TextEmbeddingsInferencesClientsGetItsShape) {
  EXPECT_EQ(answer_to(RerankCodec(), R"({"query":"q","texts":["a","b"],"return_text":true})", {0.25, 0.75}),
            R"([{"index":1,"score":0.75,"text":"b"},{"index":0,"score":0.25,"text":"a"}])");
  EXPECT_EQ(answer_to(RerankCodec(), R"({"query":"q","texts":["a"],"raw_scores":true})", {0.5}),
            R"([{"index":0,"score":0}])");
  EXPECT_FALSE(work_of(RerankCodec(), R"({"query":"q","texts":["a"]})").truncates);
  EXPECT_TRUE(work_of(RerankCodec(), R"({"query":"q","texts":["a"],"truncate":true})").truncates);
}

TEST(RerankCodec, EqualScoresKeepTheirOrder) {
  const std::string answer =
      answer_to(RerankCodec(), R"({"query":"q","texts":["a","b","c"]})", {0.5, 0.5, 0.5});
  EXPECT_EQ(answer, R"([{"index":0,"score":0.5},{"index":1,"score":0.5},{"index":2,"score":0.5}])");
}

TEST(RerankCodec, WrongBodiesNameTheField) {
  struct Case {
    const char* body;
    const char* field;
  };
  for (const Case& c :
       {Case{R"({"documents":["a"]})", "query"}, Case{R"({"query":"q"})", "documents"},
        Case{R"({"query":"q","documents":[]})", "documents"}, Case{R"({"query":"q","texts":[]})", "texts"},
        Case{R"({"query":"q","documents":"a"})", "documents"},
        Case{R"({"query":"q","documents":[5]})", "documents[0]"},
        Case{R"({"query":"q","documents":[{"image":"x"}]})", "documents[0]"},
        Case{R"({"query":5,"documents":["a"]})", "query"},
        Case{R"({"query":"q","documents":["a"],"top_n":0})", "top_n"},
        Case{R"({"query":"q","documents":["a"],"return_documents":1})", "return_documents"},
        Case{R"({"query":"q","documents":["a"],"truncate":"END"})", "truncate"}}) {
    const auto call = RerankCodec().decode(c.body);
    ASSERT_FALSE(call) << c.body;
    EXPECT_EQ(call.error().param, c.field) << c.body;
  }
}

TEST(ScoreCodec, ScoresOneTextWithEachOrPairByPair) {
  EXPECT_EQ(answer_to(ScoreCodec(), R"({"text_1":"q","text_2":["a","b"]})", {0.25, 0.75}),
            R"({"id":"score-1","object":"list","created":9,"model":"m","data":[)"
            R"({"index":0,"object":"score","score":0.25},{"index":1,"object":"score","score":0.75}],)"
            R"("usage":{"prompt_tokens":7,"total_tokens":7}})");
  EXPECT_EQ(work_of(ScoreCodec(), R"({"text_1":["p","q"],"text_2":["a","b"]})").queries.size(), 2U);
  EXPECT_EQ(work_of(ScoreCodec(), R"({"text_1":"q","text_2":"a"})").documents.size(), 1U);
}

TEST(ScoreCodec, WrongBodiesNameTheField) {
  struct Case {
    const char* body;
    const char* field;
  };
  for (const Case& c :
       {Case{R"({"text_2":"a"})", "text_1"}, Case{R"({"text_1":"a"})", "text_2"},
        Case{R"({"text_1":["a","b"],"text_2":["a","b","c"]})", "text_1"},
        Case{R"({"text_1":[],"text_2":"a"})", "text_1"}, Case{R"({"text_1":5,"text_2":"a"})", "text_1"}}) {
    const auto call = ScoreCodec().decode(c.body);
    ASSERT_FALSE(call) << c.body;
    EXPECT_EQ(call.error().param, c.field) << c.body;
  }
}

}  // namespace
}  // namespace autoglm::protocol::rerank
