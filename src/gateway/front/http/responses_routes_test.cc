#include "gateway/front/http/responses_routes.h"

#include "gateway/front/http/storing_codec.h"
#include "gateway/front/http/testing/called_front.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::gateway {
namespace {

class ResponsesRoutes : public ::testing::Test {
 protected:
  static CalledFront::MakeRoutes routes(std::shared_ptr<ResponseStore> store) {
    return [store = std::move(store)](const Pipeline& pipeline, GenerationSettings settings) {
      return responses_routes(pipeline, std::move(settings), store);
    };
  }
  static bool says(const RecordingWriter& answer, const std::string& text) {
    return answer.body.find(text) != std::string::npos;
  }
  RecordingWriter ask(const std::string& id, const std::string& members, const std::string& key = "ann") {
    return front_.call("POST", "/v1/responses", "{" + members + "}",
                       "X-Request-Id: " + id + "\r\nX-Api-Key: " + key + "\r\n");
  }
  RecordingWriter get(const std::string& path, const std::string& key = "ann", const char* method = "GET") {
    return front_.call(method, "/v1/responses/" + path, "", "X-Api-Key: " + key + "\r\n");
  }
  std::vector<ChatMessage> seen() const {
    return std::get<ChatPrompt>(front_.endpoint.requests.back()->generation()->prompts.front()).messages;
  }

  std::shared_ptr<ResponseStore> store_ = std::make_shared<ResponseStore>(ResponseStore::Limits{});
  CalledFront front_{routes(store_)};
};

TEST_F(ResponsesRoutes, AWrongMethodIsToldAllRightOnes) {
  const auto answer = get("resp_r1", "ann", "PUT");
  EXPECT_EQ(answer.status, 405);
  EXPECT_EQ(answer.headers.at("Allow"), "GET, DELETE, POST");
}

TEST_F(ResponsesRoutes, AnswersAndKeepsResponses) {
  const auto made = ask("r1", R"("input":"Hi","metadata":{"a":"b"})");
  EXPECT_EQ(made.status, 200);
  EXPECT_TRUE(says(made, R"("text":"Hello world")")) << made.body;
  const auto found = get("resp_r1");
  EXPECT_EQ(found.status, 200);
  EXPECT_EQ(found.body, made.body);
  const auto items = get("resp_r1/input_items");
  EXPECT_TRUE(says(items, R"("content":[{"type":"input_text","text":"Hi"}])")) << items.body;
  EXPECT_EQ(get("resp_r1/input_items?limit=0").status, 400);
  EXPECT_EQ(get("resp_r1/nowhere").status, 404);
  EXPECT_EQ(get("resp_r2").status, 404);
  EXPECT_EQ(get("resp_r1/cancel", "ann", "POST").status, 400);
  EXPECT_EQ(get("resp_r2/cancel", "ann", "POST").status, 404);
  const auto gone = get("resp_r1", "ann", "DELETE");
  EXPECT_EQ(gone.body, R"({"id":"resp_r1","object":"response","deleted":true})");
  EXPECT_EQ(get("resp_r1").status, 404);
  EXPECT_EQ(get("resp_r1", "ann", "DELETE").status, 404);
  EXPECT_EQ(store_->bytes(), 0U);
}

TEST_F(ResponsesRoutes, AStreamIsKeptToo) {
  const auto made = ask("r1", R"("input":"Hi","stream":true)");
  const auto found = get("resp_r1");
  ASSERT_EQ(found.status, 200);
  EXPECT_TRUE(says(made, R"("response":)" + found.body + "}\n\n")) << made.body;
}

TEST_F(ResponsesRoutes, GoOnFromEarlierOnes) {
  ask("r1", R"("input":"One","instructions":"First.")");
  ask("r2", R"("input":"Two","previous_response_id":"resp_r1")");
  const auto third = ask("r3", R"("input":"Three","previous_response_id":"resp_r2","instructions":"Third.")");
  EXPECT_TRUE(says(third, R"("previous_response_id":"resp_r2")")) << third.body;
  const auto messages = seen();
  ASSERT_EQ(messages.size(), 6U);
  EXPECT_EQ(messages[0].content, "Third.");
  EXPECT_EQ(messages[1].content, "One");
  EXPECT_EQ(messages[2].role, "assistant");
  EXPECT_EQ(messages[2].content, "Hello world");
  EXPECT_EQ(messages[3].content, "Two");
  EXPECT_EQ(messages[5].content, "Three");
  // What was deleted is a part of what others went on to.
  get("resp_r2", "ann", "DELETE");
  ask("r4", R"("input":"Four","previous_response_id":"resp_r3")");
  EXPECT_EQ(seen().size(), 7U);
  const auto lost = ask("r5", R"("input":"x","previous_response_id":"resp_r2")");
  EXPECT_EQ(lost.status, 404);
  EXPECT_TRUE(says(lost, R"("param":"previous_response_id","code":"response_not_found")")) << lost.body;
}

TEST_F(ResponsesRoutes, ATenantSeesOnlyItsOwn) {
  ask("r1", R"("input":"secret")", "ann");
  EXPECT_EQ(get("resp_r1", "eve").status, 404);
  EXPECT_EQ(get("resp_r1/input_items", "eve").status, 404);
  EXPECT_EQ(get("resp_r1", "eve", "DELETE").status, 404);
  EXPECT_EQ(ask("r2", R"("input":"x","previous_response_id":"resp_r1")", "eve").status, 404);
  // Another tenant's response with the same id is another one.
  ask("r1", R"("input":"other")", "eve");
  EXPECT_TRUE(says(get("resp_r1/input_items", "ann"), "secret"));
  EXPECT_TRUE(says(get("resp_r1/input_items", "eve"), "other"));
}

TEST_F(ResponsesRoutes, NothingIsKeptThatIsNotToBeOrThatFailed) {
  EXPECT_EQ(ask("r1", R"("input":"x","store":false)").status, 200);
  EXPECT_EQ(get("resp_r1").status, 404);
  front_.endpoint.fail_after_words = Error{.code = ErrorCode::kBadGateway, .message = "gone"};
  const auto failed = ask("r2", R"("input":"x","stream":true)");
  EXPECT_TRUE(says(failed, R"("status":"failed")")) << failed.body;
  EXPECT_EQ(get("resp_r2").status, 404);
  EXPECT_EQ(store_->bytes(), 0U);
}

TEST_F(ResponsesRoutes, AStreamsTextIsCountedTowardsTheAnswersMemory) {
  front_.endpoint.words.assign(20, std::string(100'000, 'w'));
  const auto answer = ask("r1", R"("input":"x","stream":true)");
  EXPECT_TRUE(says(answer, "server.answer_memory"));
  EXPECT_TRUE(says(answer, "event: response.failed\n"));
  EXPECT_EQ(front_.endpoint.open_streams, 0U);
  EXPECT_EQ(front_.memory->used(), 0U);
}

TEST_F(ResponsesRoutes, BodiesThatReferToStoredOnesAreReadBesideTheLoop) {
  const StoringCodec codec(store_, nullptr, "ann", "r1");
  EXPECT_TRUE(codec.is_slow(R"({"input":"x","previous_response_id":"resp_r1"})"));
  EXPECT_TRUE(codec.is_slow(R"({"input":[{"type":"item_reference","id":"msg_r1_0"}]})"));
  EXPECT_TRUE(codec.is_slow(R"({"input":[{"type":"item\u005freference","id":"msg_r1_0"}]})"));
  EXPECT_FALSE(codec.is_slow(R"({"input":"x"})"));
}

TEST_F(ResponsesRoutes, PagesThatMayCanDelete) {
  ask("r1", R"("input":"x")");
  EXPECT_EQ(
      front_.call("DELETE", "/v1/responses/resp_r1", "", "X-Api-Key: ann\r\nOrigin: http://page\r\n").status,
      200);
}

TEST_F(ResponsesRoutes, AListOfItemsIsCountedTowardsTheAnswersMemory) {
  ask("r1", R"("input":")" + std::string(300'000, 'x') + '"');
  EXPECT_EQ(get("resp_r1/input_items").status, 200);
  http::BodyMemory::Share others(front_.memory.get());
  ASSERT_TRUE(others.cover(800'000));
  const auto refused = get("resp_r1/input_items");
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(says(refused, "server.answer_memory")) << refused.body;
  EXPECT_EQ(get("resp_r1").status, 200) << "it is sent from where it is kept";
}

TEST_F(ResponsesRoutes, ItemsMayBeReferredTo) {
  ask("r1", R"("input":"Hi")");
  ask("a_b", R"("input":"Hi")");
  const auto answer =
      ask("r2", R"("input":[{"role":"user","content":"Hi"},{"type":"item_reference","id":"msg_r1_0"},)"
                R"({"role":"assistant","content":"More."},{"role":"user","content":"And?"},)"
                R"({"type":"item_reference","id":"msg_a_b_0"}])");
  EXPECT_EQ(answer.status, 200) << answer.body;
  ASSERT_EQ(seen().size(), 4U);
  EXPECT_EQ(seen()[1].role, "assistant");
  EXPECT_EQ(seen()[1].content, "Hello world\nMore.") << "what the assistant did in a row is one message";
  EXPECT_EQ(seen()[3].content, "Hello world");
  for (const char* id : {"msg_r1_1", "msg_r9_0", "msg", "", "_", "__"}) {
    const auto lost = ask("r3", R"("input":[{"type":"item_reference","id":")" + std::string(id) + R"("}])");
    EXPECT_EQ(lost.status, 404) << lost.body;
    EXPECT_TRUE(says(lost, R"("param":"input","code":"item_not_found")")) << lost.body;
  }
  EXPECT_EQ(ask("r4", R"("input":[{"type":"item_reference","id":"msg_r1_0"}])", "eve").status, 404);
  std::string many = R"({"type":"item_reference","id":"msg_r1_0"})";
  for (int i = 0; i < 256; ++i) many += R"(,{"type":"item_reference","id":"msg_r1_0"})";
  EXPECT_EQ(ask("r5", R"("input":[)" + many + "]").status, 400);
}

TEST_F(ResponsesRoutes, WhatIsRecalledCountsTowardsTheAnswersMemory) {
  const std::string long_input = R"("input":")" + std::string(400'000, 'x') + '"';
  ask("r1", long_input);
  ask("r2", long_input + R"(,"previous_response_id":"resp_r1")");
  ask("r3", long_input + R"(,"previous_response_id":"resp_r2")");
  EXPECT_EQ(ask("r4", R"("input":"x","previous_response_id":"resp_r2")").status, 200);
  const auto refused = ask("r5", R"("input":"x","previous_response_id":"resp_r3")");
  EXPECT_EQ(refused.status, 503) << "a small request of 1.2 MB";
  EXPECT_TRUE(says(refused, "server.answer_memory")) << refused.body;
  front_.endpoint.words = {std::string(100'000, 'w')};
  ask("r6", R"("input":"x")");
  std::string many = R"({"type":"item_reference","id":"msg_r6_0"})";
  EXPECT_EQ(ask("r7", R"("input":[)" + many + "]").status, 200);
  for (int i = 0; i < 20; ++i) many += R"(,{"type":"item_reference","id":"msg_r6_0"})";
  EXPECT_EQ(ask("r8", R"("input":[)" + many + "]").status, 503);
  EXPECT_EQ(front_.memory->used(), 0U);
}

TEST_F(ResponsesRoutes, ConversationsHaveAnEnd) {
  ask("r0", R"("input":"x")");
  for (std::uint32_t i = 1; i < ResponseStore::kMostSteps; ++i) {
    const std::string before = std::to_string(i - 1);
    ASSERT_EQ(
        ask("r" + std::to_string(i), R"("input":"x","previous_response_id":"resp_r)" + before + "\"").status,
        200);
    if (i > 1) get("resp_r" + before, "ann", "DELETE");
  }
  const std::string last = std::to_string(ResponseStore::kMostSteps - 1);
  const auto refused = ask("more", R"("input":"x","previous_response_id":"resp_r)" + last + "\"");
  EXPECT_EQ(refused.status, 400);
  EXPECT_TRUE(says(refused, "conversation_too_long")) << refused.body;
  EXPECT_EQ(seen().size(), 2 * ResponseStore::kMostSteps - 1);
  get("resp_r" + last, "ann", "DELETE");
  get("resp_r0", "ann", "DELETE");
  EXPECT_EQ(store_->bytes(), 0U) << "the whole chain is let go";
}

TEST_F(ResponsesRoutes, WithoutAStoreNothingIsFound) {
  CalledFront front(routes(nullptr));
  EXPECT_EQ(front.call("POST", "/v1/responses", R"({"input":"x"})").status, 200);
  const auto refused =
      front.call("POST", "/v1/responses", R"({"input":"x","previous_response_id":"resp_1"})");
  EXPECT_EQ(front.call("GET", "/v1/responses/resp_1").status, 404);
  // The engine refuses what the codec has found wrong; a fake takes everything.
  EXPECT_EQ(front.endpoint.requests.back()->generation()->refusal->param, "previous_response_id");
  EXPECT_EQ(refused.status, 200);
}

}  // namespace
}  // namespace autoglm::gateway
