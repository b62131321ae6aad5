// The conformance suites of Endpoint and EventStream, over the double.
#include "inference/testing/endpoint_conformance.h"
#include "inference/testing/fake_endpoint.h"

#include <memory>

namespace autoglm {
namespace {

class FakeSubject final : public EndpointSubject {
 public:
  explicit FakeSubject(EventLoop& /*loop*/) {}
  bool behave(Manner manner) override {
    const Error error{.code = ErrorCode::kUnavailable, .message = "as it was told"};
    fake_.refuse_with = manner == Manner::kRefuses ? std::optional(error) : std::nullopt;
    fake_.fail_after_words = manner == Manner::kBreaks ? std::optional(error) : std::nullopt;
    fake_.hang_after_words = manner == Manner::kStalls;
    fake_.words.resize(manner == Manner::kStalls ? 1 : 2, " world");
    return true;
  }
  Endpoint& endpoint() override { return fake_; }
  InferenceRequestPtr request() override { return request_; }
  bool tokenizes() const override { return true; }
  bool idle() override { return fake_.open_streams == 0; }

 private:
  FakeEndpoint fake_{"m"};
  InferenceRequestPtr request_ = std::make_shared<const InferenceRequest>();
};

INSTANTIATE_TEST_SUITE_P(All, EndpointConformance, ::testing::Values(endpoint_of<FakeSubject>("Fake")),
                         kImplementationName);
INSTANTIATE_TEST_SUITE_P(All, EventStreamConformance, ::testing::Values(stream_of<FakeSubject>("Fake")),
                         kImplementationName);

}  // namespace
}  // namespace autoglm
