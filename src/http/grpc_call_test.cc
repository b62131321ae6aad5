#include "http/grpc_call.h"

#include "http/testing/http2_test_server.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::http {
namespace {

using namespace std::chrono_literals;
using Told = Http2TestConnection::Told;

std::string framed(const std::string& message, char flag = 0) {
  std::string bytes(1, flag);
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(message.size() >> shift & 0xffU);
  return bytes + message;
}
const Fields kHead = {{"content-type", "application/grpc+proto"}};

class GrpcCallTest : public ::testing::Test {
 public:
  template <class Scenario>
  void with_server(Told told, Scenario scenario) {
    run_task(loop_, [&]() -> Task<void> {
      Http2TestServer server(std::move(told));
      auto client = co_await Http2Client::connect(pool_, {.host = {"127.0.0.1", server.port()}},
                                                  Deadline::after(10s), {});
      EXPECT_TRUE(client);
      if (client) co_await scenario(**client, server);
    }());
  }
  /// What a question gets from a server that answers with these.
  Result<std::string> answer(const std::string& status, Fields head, const std::string& body,
                             Fields trailers) {
    Result<std::string> got = fail(Error{});
    with_server(
        [&](Http2TestConnection& connection, std::int32_t id) {
          if (connection.asked[id].whole) connection.respond(id, status, head, body, true, trailers);
        },
        [&got](Http2Client& client, Http2TestServer&) -> Task<void> {
          got = co_await grpc_ask(client, method(), "question", Deadline::after(10s));
        });
    return got;
  }
  static GrpcCall::Method method() { return {.path = "/Request/request", .authority = "a:1"}; }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

TEST_F(GrpcCallTest, AsksAndIsAnswered) {
  const auto answers = [](Http2TestConnection& connection, std::int32_t id) {
    auto& asked = connection.asked[id];
    if (!asked.whole) return;
    EXPECT_EQ(asked.head["content-type"], "application/grpc");
    EXPECT_EQ(asked.head["te"], "trailers");
    EXPECT_EQ(asked.head[":path"], "/Request/request");
    EXPECT_EQ(asked.head["x"], "y");
    EXPECT_TRUE(asked.head["grpc-timeout"].ends_with("m")) << asked.head["grpc-timeout"];
    EXPECT_EQ(asked.body, framed("question"));
    connection.respond(id, "200", kHead, framed("answer"), true, {{"grpc-status", "0"}});
  };
  with_server(answers, [](Http2Client& client, Http2TestServer&) -> Task<void> {
    GrpcCall::Method asked = method();
    asked.metadata = {{"x", "y"}};
    EXPECT_EQ(*co_await grpc_ask(client, asked, "question", Deadline::after(10s)), "answer");
  });
}

TEST_F(GrpcCallTest, StreamsBothWays) {
  const auto echoes = [](Http2TestConnection& connection, std::int32_t id) {
    auto& asked = connection.asked[id];
    if (asked.body.empty() && !asked.whole)
      return connection.respond(id, "200", kHead, "", false, {{"grpc-status", "0"}});
    // Message boundaries are not those of frames.
    for (const char each : std::exchange(asked.body, {})) connection.send(id, std::string(1, each));
    if (asked.whole) connection.send(id, "", true);
  };
  with_server(echoes, [](Http2Client& client, Http2TestServer&) -> Task<void> {
    auto call = GrpcCall::begin(client, method()).value();
    EXPECT_TRUE(co_await call.send("one"));
    EXPECT_EQ(*co_await call.receive(), "one");
    EXPECT_TRUE(co_await call.send(""));
    EXPECT_TRUE(co_await call.send("three", true));
    EXPECT_EQ(*co_await call.receive(), "");
    EXPECT_EQ(*co_await call.receive(), "three");
    EXPECT_EQ(*co_await call.receive(), std::nullopt);
  });
}

TEST_F(GrpcCallTest, AStatusIsAnError) {
  const auto denied = answer("200", kHead, "", {{"grpc-status", "7"}, {"grpc-message", "who%20are%20you?"}});
  EXPECT_EQ(denied.error().code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(denied.error().message.contains("who are you?")) << denied.error().message;
  const auto behind = answer("200", kHead, framed("answer"), {{"grpc-status", "14"}});
  EXPECT_EQ(behind.error().code, ErrorCode::kUnavailable);
  const auto unknown = answer("200", {{"content-type", "application/grpc"}, {"grpc-status", "12"}}, "", {});
  EXPECT_EQ(unknown.error().reason, kNotGrpc);
}

TEST_F(GrpcCallTest, WhatIsNoGrpcIsSaid) {
  for (const auto& got : {answer("404", {{"content-type", "text/html"}}, "<html>", {}),
                          answer("200", {{"content-type", "text/html"}}, "<html>", {}),
                          answer("200", kHead, framed("answer"), {}),
                          answer("200", kHead, framed("answer", 1), {{"grpc-status", "0"}}),
                          answer("200", kHead, framed("answer").substr(0, 7), {{"grpc-status", "0"}}),
                          answer("200", kHead, "", {{"grpc-status", "0"}})}) {
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().reason, kNotGrpc) << got.error().message;
  }
  const auto large = answer("200", kHead, std::string("\0\x7f\xff\xff\xff", 5), {{"grpc-status", "0"}});
  EXPECT_EQ(large.error().code, ErrorCode::kBadGateway);
}

TEST_F(GrpcCallTest, AnAnswerThatDoesNotComeIsCancelled) {
  with_server([](Http2TestConnection&, std::int32_t) {},
              [](Http2Client& client, Http2TestServer& server) -> Task<void> {
                const auto late = co_await grpc_ask(client, method(), "question", Deadline::after(20ms));
                EXPECT_EQ(late.error().code, ErrorCode::kDeadlineExceeded);
                EXPECT_TRUE(co_await client.ping(Deadline::after(10s)));
                EXPECT_EQ(server.connections[0]->asked[1].code, NGHTTP2_CANCEL);
              });
}

}  // namespace
}  // namespace autoglm::http
