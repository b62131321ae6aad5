#pragma once

#include "gateway/front/http/front.h"
#include "gateway/front/http/testing/recording_writer.h"
#include "gateway/pipeline.h"
#include "inference/testing/fake_endpoint.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// A front before one fake endpoint, the model "alpha", called from the test's thread.
class CalledFront {
 public:
  using MakeRoutes = std::function<std::vector<Route>(const Pipeline&, GenerationSettings)>;
  explicit CalledFront(const MakeRoutes& routes)
      : front_(routes(pipeline, {.ignored_fields = metrics_.counter("ignored", ""), .answer_memory = memory}),
               readiness, metrics_, *log_) {}

  RecordingWriter call(std::string_view method, std::string_view path, std::string body = {},
                       const std::string& headers = {}) {
    http::Request request;
    const std::string head =
        std::string(method).append(" ").append(path) + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n";
    EXPECT_TRUE(http::parse_request_head(head, {}, request).has_value());
    request.body = std::move(body);
    RecordingWriter writer;
    run_task(loop_, front_.handle(request, writer));
    return writer;
  }

  FakeEndpoint endpoint{"alpha"};
  Readiness readiness;
  std::shared_ptr<http::BodyMemory> memory = std::make_shared<http::BodyMemory>(1'000'000);

 private:
  std::unique_ptr<observe::Logger> log_ = observe::Logger::create({.file = "/dev/null"}).value();
  observe::MetricRegistry metrics_;
  LiveDirectory models_{1, std::make_shared<const ModelDirectory>(
                               std::vector<ModelDirectory::Entry>{{"alpha", unowned(endpoint)}})};

 public:
  Pipeline pipeline{models_};

 private:
  HttpFront front_;
  EventLoop loop_;
};

}  // namespace autoglm::gateway
