#include "gateway/protocol/tei/client_codec.h"

#include "gateway/protocol/testing/said_by.h"

#include <gtest/gtest.h>

namespace autoglm::protocol::tei {
namespace {

InferenceRequest embeds(std::vector<Prompt> inputs) {
  return {.id = "r1",
          .model = "m",
          .work = EmbedRequest{.inputs = std::move(inputs), .truncates = true},
          .wire = {}};
}
InferenceRequest scores(std::vector<std::string> queries) {
  return {.id = "r1",
          .model = "m",
          .work = ScoreRequest{.queries = std::move(queries), .documents = {"a", "b"}},
          .wire = {}};
}

TEST(TeiClient, EmbedsAndReranks) {
  const TeiClient codec;
  const InferenceRequest embed = embeds({TextPrompt{"a"}, TokenPrompt{{1, 2}}});
  EXPECT_EQ(written(codec, embed), R"(/embed {"inputs":["a",[1,2]],"normalize":true,"truncate":true})");
  EventBatch batch;
  std::string bytes = "[[1,2],[3,4]]";
  ASSERT_TRUE(codec.reader(embed, {})->read(bytes, true, batch));
  EXPECT_EQ(std::get<EmbedResult>(*batch.answer).vectors.at(1), (std::vector<float>{3, 4}));
  EXPECT_EQ(written(codec, scores({"q"})),
            R"(/rerank {"query":"q","texts":["a","b"],"raw_scores":false,"truncate":false})");
  bytes = R"([{"index":1,"score":0.75},{"index":0,"score":0.25}])";
  ASSERT_TRUE(codec.reader(scores({"q"}), {})->read(bytes, true, batch));
  EXPECT_EQ(std::get<ScoreResult>(*batch.answer).scores, (std::vector<double>{0.25, 0.75}));
  EXPECT_EQ(written(codec, scores({"q", "p"})).substr(0, 8), "queries:");
  EXPECT_EQ(written(codec, chat_request()).substr(0, 9), "messages:");
  EXPECT_EQ(written(codec, text_request()).substr(0, 7), "prompt:");
  bytes = R"({"error":"Batch size error","error_type":"Validation"})";
  const auto refused = codec.reader(embed, {})->read(bytes, true, batch);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "Batch size error");
  const Error busy =
      codec.read_error(429, R"({"error":"Model is overloaded","error_type":"Overloaded"})", {});
  EXPECT_EQ(busy.code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(busy.message, "Model is overloaded");
}

}  // namespace
}  // namespace autoglm::protocol::tei
