#include "gateway/front/grpc/rpc.h"

#include "gateway/front/grpc/testing/fake_call.h"
#include "http/content_coding.h"
#include "runtime/race.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>
#include <openautoglm/v1/inference.pb.h>

#include <functional>
#include <optional>

namespace autoglm::gateway::grpc {
namespace {

using namespace std::chrono_literals;
using Text = ::openautoglm::v1::DetokenizeResponse;
using protocol::grpc::kPrefix;

Text text(std::string content) {
  Text message;
  message.set_text(std::move(content));
  return message;
}

class RpcTest : public ::testing::Test {
 protected:
  /// Runs `body(rpc)` and ends the call with what it returns.
  void run(const std::function<Task<Result<void>>(Rpc&)>& body) {
    Rpc rpc(call_.request, call_.writer, record_);
    run_task(loop_, [&]() -> Task<void> {
      Result<void> outcome = rpc.open();
      if (outcome) outcome = co_await body(rpc);
      co_await rpc.end(std::move(outcome));
    }());
  }
  /// The messages until the client's last one.
  Task<Result<void>> collect(Rpc& rpc) {
    while (true) {
      auto message = co_await rpc.next(10s);
      if (!message) co_return fail(std::move(message).error());
      if (!*message) co_return Result<void>();
      got_.push_back(protocol::grpc::parse<Text>(**message).value().text());
    }
  }
  void collect_all() {
    run([this](Rpc& rpc) { return collect(rpc); });
  }
  std::string gzipped(const Text& message, std::string cut = {}) {
    std::string bytes = message.SerializeAsString();
    std::string packed;
    http::Encoder::create(http::ContentCoding::kGzip, bytes.size())->add(bytes, true, packed);
    packed.resize(packed.size() - cut.size());
    std::string framed;
    protocol::grpc::append_prefix(framed,
                                  {.packed = true, .size = static_cast<std::uint32_t>(packed.size())});
    return framed + packed;
  }

  FakeCall call_{"/a.B/C"};
  RequestRecord record_;
  EventLoop loop_;
  std::vector<std::string> got_;
};

TEST_F(RpcTest, MessagesMayComeInPiecesOfAnySize) {
  for (std::size_t piece = 1; piece < 20; ++piece) {
    FakeCall call("/a.B/C");
    call.say(text("one")).say(text("")).say(text("three")).body.end();
    call.body.piece = piece;
    got_.clear();
    Rpc rpc(call.request, call.writer, record_);
    run_task(loop_, [&]() -> Task<void> { co_await rpc.end(co_await collect(rpc)); }());
    EXPECT_EQ(got_, (std::vector<std::string>{"one", "", "three"})) << piece;
    EXPECT_EQ(call.status(), "0");
  }
}

TEST_F(RpcTest, AMessageBeyondTheLimitIsRefusedByItsLength) {
  call_.body.largest = 100;
  call_.say(text("small")).say(text(std::string(200, 'x')));
  call_.body.bytes.resize(30);  // the rest need not come
  collect_all();
  EXPECT_EQ(got_, std::vector<std::string>{"small"});
  EXPECT_EQ(call_.status(), "8");
  EXPECT_NE(call_.message().find("server.max_body"), std::string::npos) << call_.message();
  EXPECT_EQ(record_.status, 413);
}

TEST_F(RpcTest, WhatIsKeptOfMessagesIsCounted) {
  call_.body.memory = 1000;
  call_.say(text(std::string(5000, 'x')));
  call_.body.piece = 100;
  collect_all();
  EXPECT_EQ(call_.status(), "14");
  EXPECT_LT(call_.body.kept, 3000U);
}

TEST_F(RpcTest, WhatHasBeenUsedIsNoLongerCounted) {
  call_.say(text(std::string(5000, 'x'))).say(text("short"));
  std::vector<std::size_t> kept;
  run([&](Rpc& rpc) -> Task<Result<void>> {
    EXPECT_TRUE(co_await rpc.next(10s));
    kept.push_back(call_.body.kept);
    EXPECT_TRUE(co_await rpc.next(10s));
    kept.push_back(call_.body.kept);
    EXPECT_FALSE(co_await rpc.next(1ms));
    kept.push_back(call_.body.kept);
    co_return Result<void>();
  });
  EXPECT_GT(kept.at(0), 5000U);
  EXPECT_LT(kept.at(1), 100U);
  EXPECT_LT(kept.at(2), 100U);
}

TEST_F(RpcTest, APartOfAMessageIsAwaitedForLessLong) {
  call_.say(text("one"));
  call_.body.bytes.resize(7);
  run([](Rpc& rpc) -> Task<Result<void>> {
    const auto message = co_await rpc.next(1h, 1ms);
    if (!message) co_return fail(message.error());
    co_return Result<void>();
  });
  EXPECT_EQ(call_.status(), "4");
  EXPECT_NE(call_.message().find("did not come whole"), std::string::npos) << call_.message();
}

TEST_F(RpcTest, ABodyThatEndsInsideOfAMessageIsRefused) {
  call_.say(text("one"));
  for (const std::size_t size : {1U, 5U, 8U}) {
    FakeCall call("/a.B/C");
    call.body.add(call_.body.bytes.substr(0, size));
    call.body.end();
    Rpc rpc(call.request, call.writer, record_);
    run_task(loop_, [&]() -> Task<void> { co_await rpc.end(co_await collect(rpc)); }());
    EXPECT_EQ(call.status(), "3") << size;
    EXPECT_NE(call.message().find("inside of a message"), std::string::npos) << call.message();
  }
}

TEST_F(RpcTest, ACallWithoutItsMessageIsRefused) {
  call_.body.end();
  run([](Rpc& rpc) -> Task<Result<void>> {
    const auto message = co_await rpc.only();
    if (!message) co_return fail(message.error());
    co_return Result<void>();
  });
  EXPECT_EQ(call_.status(), "3");
  EXPECT_EQ(call_.writer.status, 200);
  EXPECT_TRUE(call_.writer.trailers.empty());  // the head is all of it
}

TEST_F(RpcTest, AClientThatSaysNothingIsNotAwaitedForEver) {
  run([](Rpc& rpc) -> Task<Result<void>> {
    const auto message = co_await rpc.next(1ms);
    if (!message) co_return fail(message.error());
    co_return Result<void>();
  });
  EXPECT_EQ(call_.status(), "4");
}

TEST_F(RpcTest, PackedMessagesAreUnpackedAndAnsweredPacked) {
  FakeCall call("/a.B/C", "grpc-encoding: gzip\r\n");
  const std::string large(3000, 'x');
  call.body.add(gzipped(text(large)));
  call.say(text("plain")).body.end();
  Rpc rpc(call.request, call.writer, record_);
  run_task(loop_, [&]() -> Task<void> {
    Result<void> outcome = rpc.open();
    if (outcome) outcome = co_await collect(rpc);
    co_await rpc.write(text("short"));
    if (outcome) outcome = rpc.reply(text(large));
    co_await rpc.end(std::move(outcome));
  }());
  EXPECT_EQ(got_, (std::vector<std::string>{large, "plain"}));
  EXPECT_EQ(call.told("grpc-encoding"), "gzip");
  std::string_view bytes = call.writer.body;
  const auto first = protocol::grpc::read_prefix(bytes).value();
  EXPECT_FALSE(first.packed);  // not worth it
  bytes.remove_prefix(kPrefix + first.size);
  const auto second = protocol::grpc::read_prefix(bytes).value();
  EXPECT_TRUE(second.packed);
  EXPECT_LT(second.size, 100U);
  bytes.remove_prefix(kPrefix);
  std::string unpacked;
  EXPECT_TRUE(http::Decoder::create(http::ContentCoding::kGzip)->take(bytes, unpacked));
  EXPECT_EQ(protocol::grpc::parse<Text>(unpacked).value().text(), large);
}

TEST_F(RpcTest, ABombIsRefusedWhileItIsUnpacked) {
  FakeCall call("/a.B/C", "grpc-encoding: gzip\r\n");
  call.body.add(gzipped(text(std::string(20'000'000, 'x'))));
  Rpc rpc(call.request, call.writer, record_);
  run_task(loop_, [&]() -> Task<void> {
    EXPECT_TRUE(rpc.open());
    co_await rpc.end(co_await collect(rpc));
  }());
  EXPECT_EQ(call.status(), "8");
  EXPECT_LT(call.body.kept, 4'000'000U);
}

TEST_F(RpcTest, WhatIsNotPackedAsItSaysIsRefused) {
  for (const std::string& bytes : {std::string("\1\0\0\0\3abc", 8), gzipped(text("abc"), "cut")}) {
    FakeCall call("/a.B/C", "grpc-encoding: gzip\r\n");
    call.body.add(bytes);
    Rpc rpc(call.request, call.writer, record_);
    run_task(loop_, [&]() -> Task<void> {
      EXPECT_TRUE(rpc.open());
      co_await rpc.end(co_await collect(rpc));
    }());
    EXPECT_EQ(call.status(), "3");
  }
  call_.body.add(gzipped(text("abc")));  // without the header
  collect_all();
  EXPECT_EQ(call_.status(), "3");
}

TEST_F(RpcTest, AnUnknownEncodingIsUnimplemented) {
  FakeCall call("/a.B/C", "grpc-encoding: snappy\r\n");
  Rpc rpc(call.request, call.writer, record_);
  run_task(loop_, [&]() -> Task<void> { co_await rpc.end(rpc.open()); }());
  EXPECT_EQ(call.status(), "12");
  EXPECT_EQ(call.told("grpc-accept-encoding"), "identity,gzip");
  EXPECT_EQ(FakeCall("/a.B/C", "grpc-encoding: identity\r\n").status(), "");
}

TEST_F(RpcTest, AnAnswerThatHasBegunEndsWithTheErrorInItsTrailers) {
  run([](Rpc& rpc) -> Task<Result<void>> {
    EXPECT_TRUE(co_await rpc.write(text("one")));
    co_return fail(invalid_field("field", "é is wrong"));
  });
  EXPECT_EQ(call_.answers<Text>().at(0).text(), "one");
  EXPECT_EQ(call_.writer.trailers.at("grpc-status"), "3");
  EXPECT_EQ(call_.writer.trailers.at("grpc-message"), "%C3%A9 is wrong");
  EXPECT_FALSE(call_.writer.trailers.at("grpc-status-details-bin").empty());
  EXPECT_TRUE(call_.writer.finished);
  EXPECT_EQ(record_.status, 400);
  EXPECT_EQ(record_.error, "é is wrong");
}

TEST_F(RpcTest, AnOrdinaryAnswerIsComplete) {
  run([](Rpc& rpc) -> Task<Result<void>> { co_return rpc.reply(text("answer")); });
  EXPECT_EQ(call_.writer.type, "application/grpc");
  EXPECT_EQ(call_.told("grpc-encoding"), "identity");
  EXPECT_EQ(call_.status(), "0");
  EXPECT_EQ(call_.answers<Text>().at(0).text(), "answer");
  EXPECT_EQ(record_.status, 200);
  EXPECT_TRUE(record_.complete);
}

}  // namespace
}  // namespace autoglm::gateway::grpc
