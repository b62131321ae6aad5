// The conformance suite of Handler, over the front.
#include "gateway/front/http/front.h"
#include "gateway/front/http/generation_routes.h"
#include "gateway/front/http/health_routes.h"
#include "gateway/front/http/model_routes.h"
#include "gateway/front/http/responses_routes.h"
#include "http/testing/handler_conformance.h"
#include "inference/testing/fake_endpoint.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::gateway {
namespace {

class FrontSubject final : public http::HandlerSubject {
 public:
  FrontSubject() {
    std::vector<Route> routes = generation_routes(
        pipeline_, {.ignored_fields = metrics_.counter("ignored", ""), .answer_memory = memory_});
    for (auto& route : responses_routes(
             pipeline_, {.ignored_fields = metrics_.counter("ignored", ""), .answer_memory = memory_},
             std::make_shared<ResponseStore>(ResponseStore::Limits())))
      routes.push_back(std::move(route));
    for (auto& route : model_routes(pipeline_, "1")) routes.push_back(std::move(route));
    for (auto& route : health_routes(models_, readiness_)) routes.push_back(std::move(route));
    front_ = std::make_unique<HttpFront>(std::move(routes), readiness_, metrics_, *log_);
  }

  http::Handler& handler() override { return *front_; }
  std::vector<std::string> requests() const override {
    return {
        get("/health"),
        get("/nowhere"),
        get("/v1/completions"),
        get("/v1/models"),
        post("/v1/completions", R"({"prompt":"Hi"})"),
        post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"Hi"}],"stream":true})"),
        post("/generate", R"({"prompt":"Hi","stream":true})"),
        post("/tokenize", R"({"prompt":"Hi"})"),
        post("/v1/messages", R"({"max_tokens":9,"messages":[{"role":"user","content":"Hi"}]})"),
        post("/v1/messages", R"({"max_tokens":9,"stream":true,"messages":[{"role":"user","content":"Hi"}]})"),
        post("/v1/messages/count_tokens", R"({"messages":[{"role":"user","content":"Hi"}]})"),
        post("/v1/responses", R"({"input":"Hi"})"),
        post("/v1/responses", R"({"input":"Hi","stream":true})"),
        get("/v1/responses/resp_id"),
        post("/v1/responses", R"({"input":7})"),
        post("/v1/completions", R"({"prompt":7})"),
        post("/v1/completions", "no JSON")};
  }
  bool idle() override { return endpoint_.open_streams == 0 && memory_->used() == 0; }

 private:
  static constexpr const char* kMore = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: id\r\n";
  static std::string get(const std::string& path) { return "GET " + path + kMore + "\r\n"; }
  static std::string post(const std::string& path, const std::string& body) {
    return "POST " + path + kMore + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  FakeEndpoint endpoint_{"alpha"};
  std::unique_ptr<observe::Logger> log_ = observe::Logger::create({.file = "/dev/null"}).value();
  observe::MetricRegistry metrics_;
  std::shared_ptr<http::BodyMemory> memory_ = std::make_shared<http::BodyMemory>(1'000'000);
  LiveDirectory models_{1, std::make_shared<const ModelDirectory>(
                               std::vector<ModelDirectory::Entry>{{"alpha", unowned(endpoint_)}})};
  Readiness readiness_;
  Pipeline pipeline_{models_};
  std::unique_ptr<HttpFront> front_;
};

using http::HandlerConformance;
INSTANTIATE_TEST_SUITE_P(Front, HandlerConformance, ::testing::Values(http::handler_of<FrontSubject>("Http")),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace autoglm::gateway
