// A protocol: the body is the prompt, the answer is the text, for `curl --data 'Hello' HOST/plain`.
#include "gateway/front/call/generation_call.h"
#include "gateway/front/call/testing/recording_sink.h"
#include "inference/testing/fake_endpoint.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

class PlainEncoder final : public protocol::AnswerEncoder {
 public:
  std::string_view content_type() const override { return "text/plain"; }
  void events(const EventBatch& batch, std::string& out) override {
    for (const TokenEvent& event : batch.events) out += event.text;
  }
  void end(const Usage& /*usage*/, std::string& out) override { out += '\n'; }
  void failure(const Error& error, std::string& out) override { out += "\nerror: " + error.message + '\n'; }
};

class PlainCodec final : public protocol::Codec {
 public:
  Result<protocol::DecodedCall> decode(std::string_view body) const override {
    if (body.empty()) return fail(Error{.code = ErrorCode::kInvalidArgument, .message = "send a prompt"});
    protocol::DecodedCall call;
    call.work = GenerateRequest{.prompts = {TextPrompt{std::string(body)}}};
    call.stream = true;
    call.make_encoder = [](const protocol::AnswerFacts&) { return std::make_unique<PlainEncoder>(); };
    return call;
  }
  Result<protocol::DecodedCall> outline(std::string_view body) const override { return decode(body); }
  std::string error_body(const Error& error) const override { return error.message; }
};

TEST(Extending, AProtocolIsACodecAndAPath) {
  FakeEndpoint endpoint("m");
  const LiveDirectory models(1, std::make_shared<const ModelDirectory>(
                                    std::vector<ModelDirectory::Entry>{{"m", unowned(endpoint)}}));
  const Pipeline pipeline(models);
  observe::MetricRegistry metrics;
  const GenerationSettings settings{.ignored_fields = metrics.counter("ignored", "")};
  RecordingSink sink;
  CallRecord record;
  GenerationCall call(pipeline, settings, sink, record);
  EventLoop loop;
  run_task(loop, call.run(std::make_shared<PlainCodec>(), {.body = "Hello"}));
  EXPECT_EQ(endpoint.requests.at(0)->generation()->prompts.size(), 1U);
  EXPECT_EQ(sink.writes, (std::vector<std::string>{"Hello", " world", "\n"}));
}

}  // namespace
}  // namespace autoglm::gateway
