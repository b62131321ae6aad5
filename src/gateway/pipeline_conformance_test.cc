// The conformance suite of EventStream, over the pipeline's stream around an endpoint's.
#include "gateway/pipeline.h"
#include "inference/testing/fake_endpoint.h"
#include "inference/testing/stream_conformance.h"

#include <memory>

namespace autoglm::gateway {
namespace {

class PipelineSubject final : public StreamSubject {
 public:
  explicit PipelineSubject(EventLoop& /*loop*/) {}

  bool behave(Manner manner) override {
    const Error error{.code = ErrorCode::kUnavailable, .message = "as it was told"};
    fake_.refuse_with = manner == Manner::kRefuses ? std::optional(error) : std::nullopt;
    fake_.fail_after_words = manner == Manner::kBreaks ? std::optional(error) : std::nullopt;
    fake_.hang_after_words = manner == Manner::kStalls;
    fake_.words.resize(manner == Manner::kStalls ? 1 : 2, " world");
    return true;
  }
  Task<Result<std::unique_ptr<EventStream>>> open() override {
    auto answer = co_await pipeline_.generate(
        std::make_unique<InferenceRequest>(InferenceRequest{.wire = {.stream = true}}), {});
    if (!answer) co_return fail(std::move(answer).error());
    co_return std::move(answer->events);
  }
  bool idle() override { return fake_.open_streams == 0; }

 private:
  FakeEndpoint fake_{"m"};
  LiveDirectory models_{1, std::make_shared<const ModelDirectory>(
                               std::vector<ModelDirectory::Entry>{{"m", unowned(fake_), CallTimeouts()}})};
  Pipeline pipeline_{models_};
};

INSTANTIATE_TEST_SUITE_P(Pipeline, EventStreamConformance,
                         ::testing::Values(stream_of<PipelineSubject>("Timed")), kImplementationName);

}  // namespace
}  // namespace autoglm::gateway
