#include "gateway/front/grpc/method.h"

#include "gateway/front/grpc/testing/fake_call.h"
#include "runtime/scope.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>
#include <openautoglm/v1/inference.pb.h>

namespace autoglm::gateway::grpc {
namespace {

using namespace std::chrono_literals;
namespace v1 = ::openautoglm::v1;

class MethodTest : public ::testing::Test {
 protected:
  MethodTest() {
    std::vector<Method> methods;
    methods.push_back(unary<v1::DetokenizeRequest, v1::DetokenizeResponse>(
        "/a.B/Count",
        [this](v1::DetokenizeRequest request, Rpc& rpc) { return count(std::move(request), rpc); }));
    methods.push_back({"/a.B/Hang", [this](Rpc& rpc) -> Task<Result<void>> {
                         const Mark mark(*this);
                         if (rpc.deadline().is_never()) co_await rpc.begin();
                         co_await sleep_for(1h);
                         co_return Result<void>();
                       }});
    methods.push_back({"/a.B/Throw", [](Rpc&) -> Task<Result<void>> {
                         throw std::runtime_error("broken");
                         co_return Result<void>();
                       }});
    routes_ = routes_of(std::move(methods), readiness_);
  }
  Task<Result<v1::DetokenizeResponse>> count(v1::DetokenizeRequest request, Rpc& rpc) {
    v1::DetokenizeResponse response;
    response.set_text(std::to_string(request.tokens_size()) + " of " + rpc.context().tenant);
    co_return response;
  }
  void call(FakeCall& call, std::string_view path) {
    for (const Route& route : routes_) {
      if (route.path != path) continue;
      EXPECT_TRUE(route.only_for(call.request));
      run_task(loop_, route.answer(call.request, call.writer, record_));
      return;
    }
    ADD_FAILURE() << "no route for " << path;
  }

  struct Mark {
    explicit Mark(MethodTest& in) : test(in) { ++test.hanging_; }
    ~Mark() { --test.hanging_; }
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;
    MethodTest& test;
  };
  Readiness readiness_;
  std::vector<Route> routes_;
  RequestRecord record_;
  EventLoop loop_;
  int hanging_ = 0;
};

TEST_F(MethodTest, AUnaryMethodIsItsMessages) {
  FakeCall one("/a.B/Count", "Authorization: key\r\n");
  v1::DetokenizeRequest request;
  request.add_tokens(1);
  request.add_tokens(2);
  one.say(request);  // and no end: one message is all that is awaited
  call(one, "/a.B/Count");
  EXPECT_EQ(one.answers<v1::DetokenizeResponse>().at(0).text(), "2 of key:key");
  EXPECT_EQ(one.status(), "0");
  EXPECT_EQ(record_.protocol, "gRPC");
}

TEST_F(MethodTest, AnEmptyMessageIsOne) {
  FakeCall one("/a.B/Count");
  call(one.say(v1::DetokenizeRequest()), "/a.B/Count");
  EXPECT_EQ(one.answers<v1::DetokenizeResponse>().at(0).text(), "0 of ");
}

TEST_F(MethodTest, AMessageOfAnotherKindIsRefused) {
  FakeCall one("/a.B/Count");
  one.body.add(std::string("\0\0\0\0\2\x0a\x09", 7));
  call(one, "/a.B/Count");
  EXPECT_EQ(one.status(), "3");
  EXPECT_NE(one.message().find("openautoglm.v1.DetokenizeRequest"), std::string::npos) << one.message();
}

TEST_F(MethodTest, TheDeadlineEndsTheTask) {
  FakeCall one("/a.B/Hang", "grpc-timeout: 5m\r\n");
  call(one, "/a.B/Hang");
  EXPECT_EQ(one.status(), "4");
  EXPECT_NE(one.message().find("grpc-timeout"), std::string::npos) << one.message();
  EXPECT_EQ(record_.status, 504);
  EXPECT_EQ(hanging_, 0);
}

TEST_F(MethodTest, AWrongDeadlineIsNamed) {
  FakeCall one("/a.B/Hang", "grpc-timeout: soon\r\n");
  call(one, "/a.B/Hang");
  EXPECT_EQ(one.status(), "3");
}

TEST_F(MethodTest, WhatAMethodThrowsIsInternal) {
  FakeCall one("/a.B/Throw");
  call(one, "/a.B/Throw");
  EXPECT_EQ(one.status(), "13");
}

TEST_F(MethodTest, AnUnknownMethodIsUnimplemented) {
  FakeCall one("/a.B/Nothing");
  call(one, "");
  EXPECT_EQ(one.status(), "12");
  http::Request plain;
  EXPECT_TRUE(http::parse_request_head("POST /a.B/Nothing HTTP/1.1\r\nHost: x\r\n\r\n", {}, plain));
  EXPECT_FALSE(routes_.back().only_for(plain));  // that is HTTP's 404
}

TEST_F(MethodTest, WhatIsNoGrpcIsToldSoInHttp) {
  FakeCall http1("/a.B/Count");
  http1.request.arriving = nullptr;
  call(http1, "/a.B/Count");
  EXPECT_EQ(http1.writer.status, 505);
  EXPECT_NE(http1.writer.body.find("HTTP/2"), std::string::npos);
  for (const char* type : {"application/json", "application/grpc+json", "application/grpc-web"}) {
    http::Request request;
    EXPECT_TRUE(http::parse_request_head(
        std::string("POST /a.B/Count HTTP/1.1\r\nHost: x\r\nContent-Type: ") + type + "\r\n\r\n", {},
        request));
    RecordingWriter writer;
    run_task(loop_, routes_.front().answer(request, writer, record_));
    EXPECT_EQ(writer.status, 415) << type;
  }
}

TEST_F(MethodTest, WhileTheProcessEndsNewCallsGoElsewhere) {
  readiness_.begin_drain();
  FakeCall one("/a.B/Count");
  call(one.say(v1::DetokenizeRequest()), "/a.B/Count");
  EXPECT_EQ(one.status(), "14");
  EXPECT_EQ(record_.status, 503);
}

TEST_F(MethodTest, ADestroyedCallEndsItsWork) {
  FakeCall one("/a.B/Hang");
  run_task(loop_, [&]() -> Task<void> {
    {
      Scope scope;
      scope.spawn(routes_[1].answer(one.request, one.writer, record_));
      while (hanging_ == 0) co_await yield_to_loop();
    }
    EXPECT_EQ(hanging_, 0);
  }());
}

TEST_F(MethodTest, AStreamEndsWithTheProcess) {
  FakeCall one("/a.B/C");
  Rpc rpc(one.request, one.writer, record_);
  run_task(loop_, [&]() -> Task<void> {
    Result<std::optional<std::string>> message;
    Scope scope;
    scope.spawn(
        [](Rpc& of, const Readiness& readiness, Result<std::optional<std::string>>& to) -> Task<void> {
          to = co_await next_of_stream(of, readiness);
        }(rpc, readiness_, message));
    co_await yield_to_loop();
    readiness_.begin_drain();
    co_await scope.join();
    EXPECT_EQ(message.error().code, ErrorCode::kUnavailable);
  }());
}

}  // namespace
}  // namespace autoglm::gateway::grpc
