#include "gateway/protocol/grpc/ranking_codecs.h"

#include "gateway/protocol/grpc/frames.h"

#include <gtest/gtest.h>
#include <openautoglm/v1/inference.pb.h>

#include <memory>

namespace autoglm::protocol::grpc {
namespace {

namespace v1 = ::openautoglm::v1;

template <class Message>
Message answer_of(const DecodedCall& call, WholeAnswer answer) {
  const auto encoder = call.make_encoder({.model = "m"});
  std::string out;
  const Usage usage{.prompt_tokens = 5};
  encoder->events({.answer = std::make_shared<const WholeAnswer>(std::move(answer)), .usage = usage}, out);
  encoder->end(usage, out);
  return parse<Message>(std::string_view(out).substr(kPrefix)).value();
}

TEST(GrpcEmbed, InputsBecomeVectors) {
  v1::EmbedRequest request;
  request.add_inputs()->set_text("a");
  request.add_inputs()->mutable_tokens()->add_ids(3);
  request.set_dimensions(2);
  request.set_normalize(false);
  const auto call = EmbedCodec().decode(request.SerializeAsString());
  ASSERT_TRUE(call) << call.error().message;
  const auto& work = std::get<EmbedRequest>(call->work);
  EXPECT_EQ(std::get<TextPrompt>(work.inputs[0]).text, "a");
  EXPECT_EQ(std::get<TokenPrompt>(work.inputs[1]).tokens, std::vector<TokenId>{3});
  EXPECT_EQ(work.dimensions, 2U);
  EXPECT_FALSE(work.normalized);
  EXPECT_FALSE(call->stream);
  const auto told = answer_of<v1::EmbedResponse>(*call, EmbedResult{.vectors = {{1, 2}, {3, 4}}});
  ASSERT_EQ(told.embeddings_size(), 2);
  EXPECT_EQ(told.embeddings(1).values(0), 3);
  EXPECT_EQ(told.model(), "m");
  EXPECT_EQ(told.usage().prompt_tokens(), 5U);
}

TEST(GrpcEmbed, AWrongFieldIsNamed) {
  v1::EmbedRequest request;
  EXPECT_EQ(EmbedCodec().decode(request.SerializeAsString()).error().param, "inputs");
  request.add_inputs();
  EXPECT_EQ(EmbedCodec().decode(request.SerializeAsString()).error().param, "inputs[0]");
  request.mutable_inputs(0)->mutable_tokens()->add_ids(-1);
  EXPECT_EQ(EmbedCodec().decode(request.SerializeAsString()).error().param, "inputs[0].tokens.ids[0]");
  request.mutable_inputs(0)->set_text("a");
  request.set_dimensions(0);
  EXPECT_EQ(EmbedCodec().decode(request.SerializeAsString()).error().param, "dimensions");
  for (int i = 0; i < 2048; ++i) request.add_inputs()->set_text("a");
  EXPECT_EQ(EmbedCodec().decode(request.SerializeAsString()).error().param, "inputs");
}

TEST(GrpcRerank, ResultsComeByTheirScores) {
  v1::RerankRequest request;
  request.set_query("q");
  for (const char* document : {"a", "b", "c", "d"}) request.add_documents(document);
  request.set_top_n(3);
  request.set_return_documents(true);
  const auto call = RerankCodec().decode(request.SerializeAsString());
  ASSERT_TRUE(call) << call.error().message;
  const auto& work = std::get<ScoreRequest>(call->work);
  EXPECT_EQ(work.queries, std::vector<std::string>{"q"});
  EXPECT_EQ(work.documents.size(), 4U);
  const auto told = answer_of<v1::RerankResponse>(*call, ScoreResult{.scores = {0.1, 0.9, 0.5, 0.5}});
  ASSERT_EQ(told.results_size(), 3);
  EXPECT_EQ(told.results(0).index(), 1U);
  EXPECT_EQ(told.results(0).document(), "b");
  EXPECT_EQ(told.results(1).index(), 2U);  // of equals the first
  EXPECT_EQ(told.results(2).index(), 3U);
  EXPECT_EQ(told.results(2).relevance_score(), 0.5);
}

TEST(GrpcRerank, AWrongFieldIsNamed) {
  v1::RerankRequest request;
  EXPECT_EQ(RerankCodec().decode(request.SerializeAsString()).error().param, "documents");
  request.add_documents("a");
  EXPECT_EQ(RerankCodec().decode(request.SerializeAsString()).error().param, "query");
  request.set_query("q");
  request.set_top_n(0);
  EXPECT_EQ(RerankCodec().decode(request.SerializeAsString()).error().param, "top_n");
}

}  // namespace
}  // namespace autoglm::protocol::grpc
