// The conformance suite of Handler, run over the test handler.
#include "http/testing/handler_conformance.h"
#include "http/testing/server_fixture.h"

namespace autoglm::http {
namespace {

class TestHandlerSubject final : public HandlerSubject {
 public:
  Handler& handler() override { return handler_; }
  std::vector<std::string> requests() const override {
    const std::string close = "Connection: close\r\n";
    return {get("/stream", close), post("/echo", "what is said here", close), get("/echo", close),
            get("/throw", close)};
  }

 private:
  TestHandler handler_;
};

INSTANTIATE_TEST_SUITE_P(All, HandlerConformance, ::testing::Values(handler_of<TestHandlerSubject>("Test")),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace autoglm::http
