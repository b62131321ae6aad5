#pragma once

#include "gateway/front/call/generation_call.h"
#include "gateway/front/http/front.h"
#include "gateway/front/http/testing/recording_writer.h"
#include "http/head_parser.h"
#include "inference/testing/fake_endpoint.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// A front over a model "alpha" that says what it is told to say. The test makes the front of its routes.
class FrontFixture : public ::testing::Test {
 protected:
  FrontFixture()
      : log_(observe::Logger::create({.file = "/dev/null"}).value()),
        models_(1, std::make_shared<const ModelDirectory>(
                       std::vector<ModelDirectory::Entry>{{"alpha", unowned(endpoint_)}})),
        pipeline_(models_),
        settings_(std::make_shared<const GenerationSettings>(
            GenerationSettings{.ignored_fields = registry_.counter("autoglm_ignored_fields_total", "")})) {}

  void serve(std::vector<Route> routes) {
    front_ = std::make_unique<HttpFront>(std::move(routes), readiness_, registry_, *log_);
  }

  RecordingWriter call(std::string_view method, std::string_view path, std::string body = "",
                       std::string_view headers = "Content-Type: application/json\r\n") {
    http::Request request;
    const auto parsed = http::parse_request_head(std::string(method)
                                                     .append(" ")
                                                     .append(path)
                                                     .append(" HTTP/1.1\r\nHost: x\r\n")
                                                     .append(headers)
                                                     .append("\r\n"),
                                                 {}, request);
    EXPECT_TRUE(parsed.has_value());
    request.body = std::move(body);
    RecordingWriter writer;
    run_task(loop_, front_->handle(request, writer));
    return writer;
  }

  FakeEndpoint endpoint_{"alpha"};
  std::unique_ptr<observe::Logger> log_;
  observe::MetricRegistry registry_;
  LiveDirectory models_;
  Readiness readiness_;
  Pipeline pipeline_;
  std::shared_ptr<const GenerationSettings> settings_;
  std::unique_ptr<HttpFront> front_;
  EventLoop loop_;
};

}  // namespace autoglm::gateway
