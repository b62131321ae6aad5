// The conformance suites of Endpoint and EventStream, over a remote server.
#include "gateway/endpoint/http_endpoint.h"
#include "gateway/endpoint/testing/model_server.h"
#include "inference/testing/endpoint_conformance.h"

#include <memory>

namespace autoglm::gateway {
namespace {

using Protocol = WireBody::Protocol;

template <Protocol kProtocol, bool kStream, std::size_t kPadding = 0>
class HttpSubject final : public EndpointSubject {
 public:
  explicit HttpSubject(EventLoop& loop) : loop_(loop), server_(loop, kPadding) {
    clients_.reserve(loop);
    clients_.share(memory_, &pool_);
    run_task(loop, [](HttpSubject& self) -> Task<void> {
      self.clients_.attach(self.loop_, std::make_unique<http::Client>(self.pool_, nullptr));
      co_return;
    }(*this));
    HttpEndpointOptions options{.url = http::Url::parse(server_.url()).value()};
    options.kind->store(ServerKind::kOurs);
    endpoint_ = std::make_unique<HttpEndpoint>(std::move(options), clients_);
  }
  ~HttpSubject() override {
    run_task(loop_, [](HttpSubject& self) -> Task<void> {
      self.clients_.detach(self.loop_);
      co_return;
    }(*this));
  }

  bool behave(Manner manner) override {
    server_.manner = manner;
    return true;
  }
  Endpoint& endpoint() override { return *endpoint_; }
  InferenceRequestPtr request() override { return request_; }
  bool idle() override { return server_.idle() && memory_->used() == 0; }

 private:
  EventLoop& loop_;
  BlockingPool pool_{1, 64};
  ModelServer server_;
  std::shared_ptr<http::BodyMemory> memory_ = std::make_shared<http::BodyMemory>(std::size_t{64} << 20U);
  HttpClients clients_;
  std::unique_ptr<HttpEndpoint> endpoint_;
  InferenceRequestPtr request_ = request_for_words(kProtocol, kStream);
};

using Frames = HttpSubject<Protocol::kCompletions, true>;
using Unseen = HttpSubject<Protocol::kGenerate, true>;
using Document = HttpSubject<Protocol::kCompletions, false>;
using Translated = HttpSubject<Protocol::kNone, true>;
using TranslatedWhole = HttpSubject<Protocol::kNone, false>;
using LongDocument = HttpSubject<Protocol::kCompletions, false, 300'000>;

INSTANTIATE_TEST_SUITE_P(Http, EndpointConformance,
                         ::testing::Values(endpoint_of<Frames>("Frames"), endpoint_of<Unseen>("Unseen"),
                                           endpoint_of<Document>("Document"),
                                           endpoint_of<Translated>("Translated"),
                                           endpoint_of<TranslatedWhole>("TranslatedWhole"),
                                           endpoint_of<LongDocument>("LongDocument")),
                         kImplementationName);
INSTANTIATE_TEST_SUITE_P(Http, EventStreamConformance,
                         ::testing::Values(stream_of<Frames>("Frames"), stream_of<Unseen>("Unseen"),
                                           stream_of<Document>("Document"),
                                           stream_of<Translated>("Translated"),
                                           stream_of<TranslatedWhole>("TranslatedWhole"),
                                           stream_of<LongDocument>("LongDocument")),
                         kImplementationName);

}  // namespace
}  // namespace autoglm::gateway
