#include "gateway/front/call/generation_call.h"

#include "gateway/front/call/testing/recording_sink.h"
#include "gateway/protocol/openai/completions_codec.h"
#include "inference/testing/fake_endpoint.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace autoglm::gateway {
namespace {

/// A call whose transport is no HTTP.
class GenerationCallTest : public ::testing::Test {
 protected:
  void call(std::string body) {
    GenerationCall generation(pipeline_, settings_, sink_, record_);
    run_task(loop_, generation.run(codec_, {.body = std::move(body)}));
  }

  FakeEndpoint endpoint_{"alpha"};
  LiveDirectory models_{1, std::make_shared<const ModelDirectory>(
                               std::vector<ModelDirectory::Entry>{{"alpha", unowned(endpoint_)}})};
  Pipeline pipeline_{models_};
  observe::MetricRegistry metrics_;
  GenerationSettings settings_{.ignored_fields = metrics_.counter("ignored", "")};
  std::shared_ptr<const protocol::Codec> codec_ = std::make_shared<protocol::openai::CompletionsCodec>();
  RecordingSink sink_;
  CallRecord record_{.id = "7"};
  EventLoop loop_;
};

TEST_F(GenerationCallTest, AWholeAnswerIsSentAtOnce) {
  call(R"({"prompt":"Hi"})");
  ASSERT_EQ(sink_.writes.size(), 1U);
  EXPECT_NE(sink_.writes[0].find(R"("text":"Hello world")"), std::string::npos) << sink_.writes[0];
  EXPECT_EQ(sink_.content_type, "application/json");
  EXPECT_EQ(sink_.model, "alpha");
  EXPECT_FALSE(sink_.is_begun);
  EXPECT_EQ(record_.usage.completion_tokens, 2U);
  EXPECT_TRUE(record_.complete);
}

TEST_F(GenerationCallTest, AStreamIsWrittenAsItComesAndFinished) {
  call(R"({"prompt":"Hi","stream":true})");
  ASSERT_EQ(sink_.writes.size(), 3U);
  EXPECT_NE(sink_.writes[0].find(R"("text":"Hello")"), std::string::npos) << sink_.writes[0];
  EXPECT_TRUE(sink_.writes[2].ends_with("data: [DONE]\n\n")) << sink_.writes[2];
  EXPECT_TRUE(sink_.finished);
  EXPECT_TRUE(record_.complete);
  EXPECT_EQ(record_.model, "alpha");
}

TEST_F(GenerationCallTest, ABodyThatIsRefusedReachesNoEndpoint) {
  call(R"({"prompt":"Hi","temperature":9})");
  ASSERT_TRUE(sink_.refusal.has_value());
  EXPECT_EQ(sink_.refusal->param, "temperature");
  EXPECT_TRUE(endpoint_.requests.empty());
}

TEST_F(GenerationCallTest, AFailureInAStreamIsItsLastEvent) {
  endpoint_.fail_after_words = Error{.code = ErrorCode::kUnavailable, .message = "it broke"};
  call(R"({"prompt":"Hi","stream":true})");
  ASSERT_EQ(sink_.writes.size(), 3U);
  EXPECT_NE(sink_.writes[2].find("it broke"), std::string::npos) << sink_.writes[2];
  EXPECT_TRUE(sink_.finished);
  EXPECT_FALSE(sink_.refusal.has_value());
  EXPECT_FALSE(record_.complete);
}

TEST_F(GenerationCallTest, AFailureBeforeTheFirstEventIsARefusal) {
  endpoint_.words.clear();
  endpoint_.fail_after_words = Error{.code = ErrorCode::kUnavailable, .message = "it broke"};
  call(R"({"prompt":"Hi","stream":true})");
  ASSERT_TRUE(sink_.refusal.has_value());
  EXPECT_FALSE(sink_.is_begun);
}

/// Its answers begin with much.
struct RepeatingCodec final : protocol::Codec {
  struct Encoder final : protocol::AnswerEncoder {
    std::string_view content_type() const override { return "text/plain"; }
    std::size_t kept() const override { return std::size_t{1} << 20U; }
    void events(const EventBatch& /*batch*/, std::string& out) override { out += "written"; }
    void end(const Usage& /*usage*/, std::string& /*out*/) override {}
    void failure(const Error& /*error*/, std::string& /*out*/) override {}
  };
  Result<protocol::DecodedCall> decode(std::string_view body) const override {
    auto call = protocol::openai::CompletionsCodec().decode(body);
    if (call) call->make_encoder = [](const protocol::AnswerFacts&) { return std::make_unique<Encoder>(); };
    return call;
  }
  Result<protocol::DecodedCall> outline(std::string_view body) const override { return decode(body); }
  std::string error_body(const Error& error) const override { return error.message; }
};

TEST_F(GenerationCallTest, WhatAWholeAnswerBeginsWithCountsBeforeItIsWritten) {
  codec_ = std::make_shared<RepeatingCodec>();
  settings_.answer_memory = std::make_shared<http::BodyMemory>(std::size_t{1} << 19U);
  call(R"({"prompt":"Hi"})");
  ASSERT_TRUE(sink_.refusal.has_value());
  EXPECT_EQ(sink_.refusal->reason, http::no_answer_memory().reason);
  settings_.answer_memory = std::make_shared<http::BodyMemory>(std::size_t{1} << 21U);
  call(R"({"prompt":"Hi"})");
  EXPECT_EQ(sink_.writes, std::vector<std::string>{"writtenwrittenwritten"});
}

TEST_F(GenerationCallTest, AClientThatIsGoneEndsTheWork) {
  sink_.takes = 1;
  call(R"({"prompt":"Hi","stream":true})");
  EXPECT_EQ(sink_.writes.size(), 1U);
  EXPECT_FALSE(sink_.finished);
  EXPECT_EQ(endpoint_.cancelled_streams, 1U);
  EXPECT_EQ(record_.error, "gone");
}

}  // namespace
}  // namespace autoglm::gateway
