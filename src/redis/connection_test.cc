#include "redis/connection.h"

#include "runtime/race.h"
#include "runtime/scope.h"
#include "runtime/testing/connected_pair.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <array>

namespace autoglm::redis {
namespace {

using namespace std::chrono_literals;

/// A connection whose other end the test holds.
struct Wire {
  std::vector<std::string> heard;  ///< what the commands were told, in order
  std::optional<Error> ended;
  std::unique_ptr<ByteStream> server;
  std::unique_ptr<Connection> connection;  // destroyed before what it tells
  Scope scope;

  bool send(std::string name, Haste haste = Haste::kNow) {
    OnReply then = [this, name](const Result<Reply>& reply) {
      heard.push_back(name + "=" + (reply ? reply->text : "error"));
    };
    return connection->send(format_command(std::array<std::string_view, 1>{name}), then, haste);
  }
  Task<std::string> read(std::size_t bytes) {
    std::string text(bytes, '\0');
    std::size_t have = 0;
    while (have < bytes) {
      const auto count = co_await server->read_some(std::span(text).subspan(have));
      if (!count || *count == 0) co_return text.substr(0, have);
      have += *count;
    }
    co_return text;
  }
  Task<void> until(std::function<bool()> condition) {
    while (!condition()) co_await sleep_for(1ms);
  }
};

Task<std::unique_ptr<Wire>> wire(BlockingPool& pool) {
  ConnectedPair pair = co_await connect_over_loopback(pool);
  auto made = std::make_unique<Wire>();
  made->server = std::move(pair.server);
  made->connection = std::make_unique<Connection>(std::move(pair.client));
  made->scope.spawn([](Wire& self) -> Task<void> { self.ended = co_await self.connection->run(); }(*made));
  co_return made;
}

class ConnectionTest : public ::testing::Test {
 protected:
  template <class Body>
  void run(Body body) {
    run_task(loop_, [](BlockingPool& pool, Body inner) -> Task<void> {
      const std::unique_ptr<Wire> made = co_await wire(pool);
      co_await inner(*made);
    }(pool_, std::move(body)));
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

TEST_F(ConnectionTest, SendsCommandsOfOneTurnTogetherAndMatchesRepliesInOrder) {
  run([](Wire& wire) -> Task<void> {
    for (const char* name : {"a", "b", "c"}) EXPECT_TRUE(wire.send(name));
    EXPECT_EQ(co_await wire.read(33), "*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n*1\r\n$1\r\nc\r\n");
    co_await wire.server->write_all("+1\r\n+2");
    co_await wire.until([&] { return wire.heard.size() == 1; });
    EXPECT_EQ(wire.connection->waiting(), 2U);
    co_await wire.server->write_all("\r\n-ERR 3\r\n");
    co_await wire.until([&] { return wire.heard.size() == 3; });
    EXPECT_EQ(wire.heard, (std::vector<std::string>{"a=1", "b=2", "c=ERR 3"}));
  });
}

TEST_F(ConnectionTest, WhatHasTimeGoesWithTheNextCommandOrByItself) {
  run([](Wire& wire) -> Task<void> {
    EXPECT_TRUE(wire.send("a", Haste::kLater));
    EXPECT_TRUE(wire.send("b", Haste::kLater));
    EXPECT_EQ(co_await wire.read(22), "*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n");
    EXPECT_TRUE(wire.send("c", Haste::kLater));
    EXPECT_TRUE(wire.send("d"));
    EXPECT_EQ(co_await wire.read(22), "*1\r\n$1\r\nc\r\n*1\r\n$1\r\nd\r\n");
    EXPECT_EQ(wire.connection->waiting(), 4U);
  });
}

TEST_F(ConnectionTest, TellsAllThatWaitWhenItEndsHalfway) {
  run([](Wire& wire) -> Task<void> {
    for (const char* name : {"a", "b"}) EXPECT_TRUE(wire.send(name));
    co_await wire.server->write_all("+1\r\n$10\r\nhal");
    co_await wire.until([&] { return wire.heard.size() == 1; });
    wire.server->close();
    co_await wire.until([&] { return wire.ended.has_value(); });
    wire.connection.reset();
    EXPECT_EQ(wire.heard, (std::vector<std::string>{"a=1", "b=error"}));
  });
}

TEST_F(ConnectionTest, EndsAtWhatIsNoReplyAndAtAReplyToNothing) {
  run([](Wire& wire) -> Task<void> {
    co_await wire.server->write_all("+what?\r\n");
    co_await wire.until([&] { return wire.ended.has_value(); });
    EXPECT_EQ(wire.ended->code, ErrorCode::kBadGateway);
  });
  run([](Wire& wire) -> Task<void> {
    EXPECT_TRUE(wire.send("a"));
    co_await wire.server->write_all("garbage\r\n");
    co_await wire.until([&] { return wire.ended.has_value(); });
    EXPECT_EQ(wire.ended->code, ErrorCode::kBadGateway);
  });
}

TEST_F(ConnectionTest, HasRoomForSoManyCommandsOnly) {
  run([](Wire& wire) -> Task<void> {
    std::size_t sent = 0;
    while (wire.send("a")) ++sent;
    EXPECT_EQ(sent, Connection::kMostWaiting);
    co_return;
  });
}

TEST_F(ConnectionTest, AReplyMaySendTheNextCommand) {
  run([](Wire& wire) -> Task<void> {
    OnReply then = [&wire](const Result<Reply>&) { EXPECT_TRUE(wire.send("next")); };
    EXPECT_TRUE(wire.connection->send("+first\r\n", then));
    co_await wire.server->write_all("+1\r\n+2\r\n");
    // The second reply may come before the command it is for is sent, but not before it is queued.
    co_await wire.until([&] { return !wire.heard.empty(); });
    EXPECT_EQ(wire.heard, std::vector<std::string>{"next=2"});
  });
}

TEST_F(ConnectionTest, MayBeDestroyedAtAnyMoment) {
  for (unsigned turn = 0; turn < 12; ++turn) {
    run([turn](Wire& wire) -> Task<void> {
      EXPECT_TRUE(wire.send("a"));
      co_await wire.server->write_all("+1\r\n");
      co_await turns(turn);
      wire.scope.cancel();
      wire.connection.reset();
      EXPECT_EQ(wire.heard.size(), 1U);
    });
  }
}

}  // namespace
}  // namespace autoglm::redis
