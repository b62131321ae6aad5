#include "http/testing/endless_streams.h"
#include "http/testing/server_fixture.h"

namespace autoglm::http {
namespace {

const std::string kClose = "Connection: close\r\n";

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  serve([&](std::uint16_t port) -> Task<void> {
    const std::string text =
        co_await exchange(port, post("/echo", "one") + get("/stream") + post("/echo", "three", kClose));
    const auto one = text.find("one");
    const auto two = text.find("part2");
    const auto three = text.find("three");
    EXPECT_NE(one, std::string::npos) << text;
    EXPECT_LT(one, two) << text;
    EXPECT_LT(two, three) << text;
    EXPECT_EQ(server_->counts().requests, 3U);
    EXPECT_EQ(server_->counts().connections, 1U);
  });
}

TEST_F(ServerTest, StreamsInChunksAndKeepsHeadersHarmless) {
  serve([&](std::uint16_t port) -> Task<void> {
    const std::string text = co_await exchange(port, get("/stream", kClose));
    EXPECT_NE(text.find("Transfer-Encoding: chunked\r\n"), std::string::npos) << text;
    EXPECT_NE(text.find("X-Extra: a  b\r\n"), std::string::npos) << text;
    EXPECT_NE(text.find("5\r\npart0\r\n5\r\npart1\r\n5\r\npart2\r\n0\r\n\r\n"), std::string::npos) << text;
  });
}

TEST_F(ServerTest, StreamsToHttp10UntilTheConnectionCloses) {
  serve([&](std::uint16_t port) -> Task<void> {
    const std::string text = co_await exchange(port, "GET /stream HTTP/1.0\r\n\r\n");
    EXPECT_EQ(text.find("chunked"), std::string::npos) << text;
    EXPECT_TRUE(text.ends_with("\r\n\r\npart0part1part2")) << text;
  });
}

TEST_F(ServerTest, ACutStreamHasNoLastChunk) {
  serve([&](std::uint16_t port) -> Task<void> {
    const std::string text = co_await exchange(port, get("/cut"));
    EXPECT_TRUE(text.ends_with("4\r\nhalf\r\n")) << text;
  });
}

TEST_F(ServerTest, TakesChunkedBodies) {
  serve([&](std::uint16_t port) -> Task<void> {
    const std::string text =
        co_await exchange(port,
                          "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: "
                          "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    EXPECT_TRUE(text.ends_with("Content-Length: 5\r\n") || text.ends_with("abcde")) << text;
  });
}

TEST_F(ServerTest, InvitesABodyThatWaitsForIt) {
  serve([&](std::uint16_t port) -> Task<void> {
    auto stream = co_await connect(port);
    co_await stream->write_all(
        std::string_view("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: "
                         "100-continue\r\nContent-Length: 2\r\n\r\n"));
    EXPECT_EQ(co_await read_until(*stream, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    co_await stream->write_all(std::string_view("ok"));
    EXPECT_TRUE((co_await read_to_end(*stream)).ends_with("ok"));
  });
}

TEST_F(ServerTest, AnswersHeadWithoutABody) {
  serve([&](std::uint16_t port) -> Task<void> {
    const std::string text = co_await exchange(
        port, "HEAD /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc");
    EXPECT_NE(text.find("Content-Length: 3\r\n"), std::string::npos) << text;
    EXPECT_TRUE(text.ends_with("\r\n\r\n")) << text;
  });
}

TEST_F(ServerTest, AnAnswerWithoutContentEndsWithItsHead) {
  serve([&](std::uint16_t port) -> Task<void> {
    for (const char* path : {"/no-content", "/no-content?whole"}) {
      const std::string text = co_await exchange(port, get(path) + get("/stream", kClose));
      const std::size_t end = text.find("\r\n\r\n");
      EXPECT_TRUE(text.starts_with("HTTP/1.1 204 ")) << text;
      EXPECT_EQ(text.substr(0, end).find("Content-Length"), std::string::npos) << text;
      EXPECT_EQ(text.substr(0, end).find("Transfer-Encoding"), std::string::npos) << text;
      EXPECT_TRUE(text.substr(end + 4).starts_with("HTTP/1.1 200 ")) << text;
    }
  });
}

TEST_F(ServerTest, AnswersForAHandlerThatDoesNot) {
  serve([&](std::uint16_t port) -> Task<void> {
    EXPECT_TRUE((co_await exchange(port, get("/nothing", kClose))).starts_with("HTTP/1.1 500 "));
    EXPECT_TRUE((co_await exchange(port, get("/throw", kClose))).starts_with("HTTP/1.1 500 "));
    const std::string full = co_await exchange(port, get("/no-memory", kClose));
    EXPECT_TRUE(full.starts_with("HTTP/1.1 503 ")) << full;
    EXPECT_NE(full.find("\r\nRetry-After: 1\r\n"), std::string::npos) << full;
  });
}

TEST_F(ServerTest, RefusesAndCloses) {
  ServerLimits limits;
  limits.body_bytes = 10;
  serve(
      [&](std::uint16_t port) -> Task<void> {
        EXPECT_TRUE((co_await exchange(port, "nonsense\r\n\r\n")).starts_with("HTTP/1.1 400 "));
        EXPECT_TRUE(
            (co_await exchange(port, post("/echo", std::string(11, 'x')))).starts_with("HTTP/1.1 413 "));
        EXPECT_TRUE(
            (co_await exchange(
                 port,
                 "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n"))
                .starts_with("HTTP/1.1 413 "));
        EXPECT_TRUE((co_await exchange(port, get("/", "X: " + std::string(40'000, 'a') + "\r\n")))
                        .starts_with("HTTP/1.1 431 "));
        EXPECT_EQ(handler_.handled, 0);
        EXPECT_EQ(server_->counts().refused, 4U);
      },
      limits);
}

TEST_F(ServerTest, BoundsTheTimeOfHeaderAndBody) {
  ServerLimits limits;
  limits.header_time = 5ms;
  limits.body_time = 5ms;
  serve(
      [&](std::uint16_t port) -> Task<void> {
        EXPECT_TRUE((co_await exchange(port, "GET / HT")).starts_with("HTTP/1.1 408 "));
        EXPECT_TRUE((co_await exchange(port, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"))
                        .starts_with("HTTP/1.1 408 "));
      },
      limits);
}

TEST_F(ServerTest, ClosesIdleConnectionsInSilence) {
  ServerLimits limits;
  limits.idle_time = 5ms;
  serve([&](std::uint16_t port) -> Task<void> { EXPECT_EQ(co_await exchange(port, ""), ""); }, limits);
}

TEST_F(ServerTest, AClientThatGoesAwayDestroysTheHandler) {
  serve([&](std::uint16_t port) -> Task<void> {
    auto stream = co_await connect(port);
    co_await stream->write_all(std::string_view(get("/hang")));
    co_await handler_.entered.wait();
    EXPECT_EQ(handler_.left, 0);
    stream.reset();
    co_await handler_.left_signal.wait();
    EXPECT_EQ(handler_.left, 1);
  });
}

TEST_F(ServerTest, AHalfClosedClientHasGoneAway) {
  serve([&](std::uint16_t port) -> Task<void> {
    auto stream = co_await connect(port);
    co_await stream->write_all(std::string_view(get("/hang")));
    co_await handler_.entered.wait();
    co_await stream->shutdown_write();
    co_await handler_.left_signal.wait();
    EXPECT_EQ(handler_.left, 1);
  });
}

TEST_F(ServerTest, AHalfClosedClientGetsWhatIsAnsweredAtOnce) {
  serve([&](std::uint16_t port) -> Task<void> {
    auto stream = co_await connect(port);
    co_await stream->write_all(std::string_view(post("/echo", "at once")));
    co_await stream->shutdown_write();
    EXPECT_TRUE((co_await read_to_end(*stream)).ends_with("at once"));
  });
}

/// More than is read ahead: the end follows bytes that are not read before their turn.
TEST_F(ServerTest, AClientThatLeavesBehindManyRequestsOfItsHasGoneAway) {
  ServerLimits limits;
  limits.pipelined_bytes = 1000;
  serve(
      [&](std::uint16_t port) -> Task<void> {
        auto stream = co_await connect(port);
        std::string more;
        while (more.size() < 20'000) more += get("/echo");
        co_await stream->write_all(std::string_view(get("/hang") + more));
        co_await handler_.entered.wait();
        EXPECT_EQ(handler_.left, 0);
        co_await stream->shutdown_write();
        co_await handler_.left_signal.wait();
        EXPECT_EQ(handler_.left, 1);
        EXPECT_EQ(handler_.handled, 1);
      },
      limits);
}

/// More than a socket holds: the end stays with the client until the bytes before it are read.
TEST_F(ServerTest, AClientThatLeavesBehindMoreThanItsSocketHoldsHasGoneAway) {
  ServerLimits limits;
  limits.body_memory = std::make_shared<BodyMemory>(4'000'000);
  serve(
      [&](std::uint16_t port) -> Task<void> {
        auto stream = co_await connect(port);
        const std::string more(600'000, 'x');
        co_await stream->write_all(std::string_view(get("/hang")));
        co_await handler_.entered.wait();
        co_await stream->write_all(std::string_view(more));
        while (limits.body_memory->used() < more.size()) co_await yield_to_loop();
        EXPECT_EQ(handler_.left, 0);
        stream.reset();
        co_await handler_.left_signal.wait();
        EXPECT_EQ(handler_.left, 1);
        while (server_->counts().open_connections > 0) co_await yield_to_loop();
        EXPECT_EQ(limits.body_memory->used(), 0U);
      },
      limits);
}

struct OneClient final : Listener {
  explicit OneClient(std::unique_ptr<ByteStream> client) : stream(std::move(client)) {}
  Task<Result<std::unique_ptr<ByteStream>>> accept() override {
    if (!stream) co_await never.wait();
    co_return std::move(stream);
  }
  std::unique_ptr<ByteStream> stream;
  Signal never;
};

TEST_F(ServerTest, ABodyThatNeverKeepsUsWaitingLeavesTheLoopToOthersAllTheSame) {
  const std::string body(8 * 1024 * 1024, 'x');
  const std::string chunked =
      "POST /hang HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n" + body +
      "\r\n0\r\n\r\n";
  for (const std::string& request : {post("/hang", body), chunked}) {
    handler_.entered.clear();
    run_task(loop_, [&]() -> Task<void> {
      int turns = 0;
      Scope others;
      others.spawn([](int& count) -> Task<void> {
        for (;; ++count) co_await yield_to_loop();
      }(turns));
      server_ = std::make_unique<Server>(
          std::make_unique<OneClient>(std::make_unique<SpeakingStream>(request)), ServerLimits(), handler_);
      server_->start();
      co_await handler_.entered.wait();
      EXPECT_GE(turns, 5);
      server_.reset();
    }());
  }
}

TEST_F(ServerTest, ManyRequestsAtOnceLeaveTheLoopToOthers) {
  constexpr int kRequests = 800;
  std::string all;
  for (int i = 0; i < kRequests; ++i) all += get("/echo");
  run_task(loop_, [&]() -> Task<void> {
    server_ = std::make_unique<Server>(
        std::make_unique<OneClient>(std::make_unique<SpeakingStream>(all + get("/hang"))), ServerLimits(),
        handler_);
    server_->start();
    int turns = 0;
    while (!handler_.entered.is_set()) {
      co_await yield_to_loop();
      ++turns;
    }
    EXPECT_EQ(handler_.handled, kRequests + 1);
    EXPECT_GE(turns, kRequests / 20);
    server_.reset();
  }());
}

TEST_F(ServerTest, WhatIsReadAheadIsNoMoreThanTheMemoryOfBodiesHasRoomFor) {
  const auto read_ahead = [&](std::size_t room) {
    handler_.entered.clear();
    return run_task(loop_, [&]() -> Task<std::size_t> {
      ServerLimits limits;
      limits.body_memory = std::make_shared<BodyMemory>(room);
      auto client = std::make_unique<SpeakingStream>(get("/hang") + std::string(4'000'000, 'x'));
      const SpeakingStream& reading = *client;
      server_ = std::make_unique<Server>(std::make_unique<OneClient>(std::move(client)), limits, handler_);
      server_->start();
      co_await handler_.entered.wait();
      for (int turn = 0; turn < 100; ++turn) co_await yield_to_loop();
      EXPECT_LE(limits.body_memory->used(), room);
      const std::size_t most = reading.said();
      server_.reset();
      co_return most;
    }());
  };
  EXPECT_LT(read_ahead(200'000), 300'000U);
  EXPECT_GT(read_ahead(4'000'000), 900'000U);
}

TEST_F(ServerTest, EndsAStreamThatItsReaderDoesNotTake) {
  ServerLimits limits;
  limits.write_stall = 20ms;
  serve(
      [&](std::uint16_t port) -> Task<void> {
        auto stream = co_await connect(port);
        co_await stream->write_all(std::string_view(get("/flood")));
        co_await handler_.left_signal.wait();  // without having read a byte
        EXPECT_EQ(handler_.left, 1);
      },
      limits);
}

TEST_F(ServerTest, DrainClosesIdleConnectionsAndFinishesTheRest) {
  serve([&](std::uint16_t port) -> Task<void> {
    auto idle = co_await connect(port);
    co_await idle->write_all(std::string_view(post("/echo", "a")));
    co_await read_until(*idle, "\r\n\r\na");
    auto busy = co_await connect(port);
    co_await busy->write_all(std::string_view(get("/stream")));
    std::string begun = co_await read_until(*busy, "part0");
    auto fresh = co_await connect(port);
    while (server_->counts().open_connections < 3) co_await yield_to_loop();
    server_->drain();
    EXPECT_EQ(co_await read_to_end(*idle), "");
    // A client that connected but has not asked yet is answered, and told to go elsewhere next time.
    co_await fresh->write_all(std::string_view(get("/stream")));
    EXPECT_NE((co_await read_to_end(*fresh)).find("Connection: close\r\n"), std::string::npos);
    EXPECT_NE((co_await exchange(port, get("/stream"))).find("Connection: close\r\n"), std::string::npos);
    server_->stop_accepting();
    const std::string text = begun + co_await read_to_end(*busy);
    EXPECT_TRUE(text.ends_with("0\r\n\r\n")) << text;
    co_await server_->drained();
    EXPECT_EQ(server_->counts().open_connections, 0U);
    EXPECT_FALSE(co_await tcp_connect(pool_, {"127.0.0.1", port}, Deadline::after(10s)));
  });
}

}  // namespace
}  // namespace autoglm::http
