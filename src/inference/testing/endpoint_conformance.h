#pragma once

#include "inference/endpoint.h"
#include "inference/testing/stream_conformance.h"

#include <memory>

namespace autoglm {

/// What the conformance suite knows of one implementation of Endpoint.
class EndpointSubject : public StreamSubject {
 public:
  virtual Endpoint& endpoint() = 0;
  /// Always answered in the same way.
  virtual InferenceRequestPtr request() = 0;
  /// Whether it makes tokens of text, and text of tokens.
  virtual bool tokenizes() const { return false; }

  Task<Result<std::unique_ptr<EventStream>>> open() override {
    const CallContext context{.deadline = Deadline::after(std::chrono::minutes(1)), .tenant = "somebody"};
    co_return co_await endpoint().generate(request(), context);
  }
};

/// An implementation of Endpoint for the suite, in one line of its room's tests.
struct EndpointImplementation {
  using Make = std::unique_ptr<EndpointSubject> (*)(EventLoop& loop);
  EndpointImplementation(const char* called, Make maker);

  const char* name;
  Make make;
};

template <class Subject>
EndpointImplementation endpoint_of(const char* name) {
  return {name, [](EventLoop& loop) -> std::unique_ptr<EndpointSubject> {
            return std::make_unique<Subject>(loop);
          }};
}

/// The conformance suite of Endpoint, for INSTANTIATE_TEST_SUITE_P in each room that has one. Its streams are
/// tested by EventStreamConformance.
class EndpointConformance : public ::testing::TestWithParam<EndpointImplementation> {
 protected:
  ~EndpointConformance() override;

  EventLoop loop_;
  std::unique_ptr<EndpointSubject> subject_ = GetParam().make(loop_);
};

}  // namespace autoglm
