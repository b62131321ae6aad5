#include "http/server.h"

#include "runtime/race.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <array>
#include <stdexcept>
#include <string>

namespace autoglm::http {
namespace {

using namespace std::chrono_literals;

/// Answers by path; remembers what it saw.
class TestHandler final : public Handler {
 public:
  Task<void> handle(Request& request, ResponseWriter& response) override {
    ++handled;
    if (request.path == "/echo") {
      co_await response.send(200, "text/plain", request.body);
    } else if (request.path == "/stream") {
      response.add_header("X-Extra", "a\r\nb");
      co_await response.start(200, "text/event-stream");
      for (int i = 0; i < 3; ++i) {
        co_await yield_to_loop();
        co_await response.write("part" + std::to_string(i));
      }
      co_await response.finish();
    } else if (request.path == "/cut") {
      co_await response.start(200, "text/plain");
      co_await response.write("half");
    } else if (request.path == "/hang") {
      const Mark mark{*this};
      entered.set();
      Signal never;
      co_await never.wait();
    } else if (request.path == "/flood") {
      const Mark mark{*this};
      co_await response.start(200, "text/plain");
      const std::string block(64 * 1024, 'x');
      while (co_await response.write(block)) {
      }
      flood_ended.set();
    } else if (request.path == "/throw") {
      throw std::runtime_error("broken");
    }  // everything else: no answer at all
  }

  std::pair<std::string, std::string_view> refused(const Refusal& refusal,
                                                   const std::string& /*peer*/) override {
    return {"refused: " + refusal.message, "text/plain"};
  }

  struct Mark {
    TestHandler& handler;
    ~Mark() {
      ++handler.left;
      handler.left_signal.set();
    }
  };
  int handled = 0;
  int left = 0;
  Signal entered;
  Signal left_signal;
  Signal flood_ended;
};

class ServerTest : public ::testing::Test {
 protected:
  /// Runs `scenario(port)` against a server on a loop of its own.
  template <class Scenario>
  void serve(Scenario scenario, ServerLimits limits = {}) {
    run_task(loop_, [&]() -> Task<void> {
      auto listener = TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value();
      server_ = std::make_unique<Server>(std::move(listener), limits, handler_);
      server_->start();
      co_await scenario(server_->port());
      server_.reset();
    }());
  }

  Task<std::unique_ptr<ByteStream>> connect(std::uint16_t port) {
    co_return (co_await tcp_connect(pool_, {"127.0.0.1", port}, Deadline::after(10s))).value();
  }

  /// Sends `bytes`, says that nothing more comes if `half_close`, and reads to the end.
  Task<std::string> exchange(std::uint16_t port, std::string bytes) {
    auto stream = co_await connect(port);
    co_await stream->write_all(std::string_view(bytes));
    co_return co_await read_to_end(*stream);
  }

  static Task<std::string> read_to_end(ByteStream& stream) {
    std::string text;
    std::array<char, 4096> buffer;
    while (true) {
      const auto count = co_await with_deadline(Deadline::after(20s),
                                                stream.read_some(std::span<char>(buffer)), "test read");
      if (!count || *count == 0) co_return text;
      text.append(buffer.data(), *count);
    }
  }

  static Task<std::string> read_until(ByteStream& stream, std::string_view mark) {
    std::string text;
    std::array<char, 4096> buffer;
    while (text.find(mark) == std::string::npos) {
      const auto count = co_await with_deadline(Deadline::after(20s),
                                                stream.read_some(std::span<char>(buffer)), "test read");
      if (!count || *count == 0) break;
      text.append(buffer.data(), *count);
    }
    co_return text;
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
  TestHandler handler_;
  std::unique_ptr<Server> server_;
};

std::string get(const std::string& path, const std::string& more = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + more + "\r\n";
}
std::string post(const std::string& path, const std::string& body, const std::string& more = "") {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         more + "\r\n" + body;
}
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

TEST_F(ServerTest, AnswersForAHandlerThatDoesNot) {
  serve([&](std::uint16_t port) -> Task<void> {
    EXPECT_TRUE((co_await exchange(port, get("/nothing", kClose))).starts_with("HTTP/1.1 500 "));
    EXPECT_TRUE((co_await exchange(port, get("/throw", kClose))).starts_with("HTTP/1.1 500 "));
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

TEST_F(ServerTest, TurnsAwayConnectionsAboveTheLimit) {
  ServerLimits limits;
  limits.connections = 1;
  serve(
      [&](std::uint16_t port) -> Task<void> {
        auto first = co_await connect(port);
        co_await first->write_all(std::string_view(post("/echo", "a")));
        co_await read_until(*first, "a");
        const std::string text = co_await exchange(port, get("/echo"));
        EXPECT_TRUE(text.starts_with("HTTP/1.1 503 ")) << text;
        EXPECT_NE(text.find("Retry-After: 1\r\n"), std::string::npos) << text;
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
    // Who had connected and not yet asked is answered, and told to go elsewhere next time.
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

std::string post_of(std::size_t size, std::string_view more = "") {
  return "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + std::string(more) +
         "Content-Length: " + std::to_string(size) + "\r\n\r\n";
}

TEST_F(ServerTest, BodiesShareABoundedMemory) {
  ServerLimits limits;
  limits.body_memory = std::make_shared<BodyMemory>(1'200'000);
  serve(
      [&](std::uint16_t port) -> Task<void> {
        const std::string half(400'000, 'x');
        auto first = co_await connect(port);
        co_await first->write_all(std::string_view(post_of(800'000) + half));
        while (limits.body_memory->used() < 800'000) co_await yield_to_loop();
        const std::string refused = co_await exchange(port, post_of(900'000) + std::string(900'000, 'y'));
        EXPECT_TRUE(refused.starts_with("HTTP/1.1 503 ")) << refused.substr(0, 200);
        EXPECT_NE(refused.find("Retry-After: "), std::string::npos);
        EXPECT_TRUE((co_await exchange(port, post_of(3) + "abc")).ends_with("\r\n\r\nabc"));
        co_await first->write_all(std::string_view(half));
        EXPECT_TRUE((co_await read_to_end(*first)).ends_with(half)) << "who has the room is served";
        EXPECT_TRUE((co_await exchange(port, post_of(700'000) + std::string(700'000, 'z'))).ends_with("zzz"));
        while (limits.body_memory->used() > 0) co_await yield_to_loop();
      },
      limits);
}

TEST_F(ServerTest, AClientHasSoManyConnections) {
  ServerLimits limits;
  limits.clients = std::make_shared<ConnectionCounts>(2);
  serve(
      [&](std::uint16_t port) -> Task<void> {
        auto a = co_await connect(port);
        co_await a->write_all(std::string_view("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n"));
        co_await read_until(*a, "\r\n\r\n");
        auto b = co_await connect(port);
        co_await b->write_all(std::string_view("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n"));
        co_await read_until(*b, "\r\n\r\n");
        EXPECT_TRUE((co_await exchange(port, post_of(1) + "x")).starts_with("HTTP/1.1 429 "));
        b.reset();
        while (server_->counts().open_connections > 1) co_await yield_to_loop();
        EXPECT_TRUE((co_await exchange(port, post_of(1) + "x")).starts_with("HTTP/1.1 200 "));
      },
      limits);
}

TEST_F(ServerTest, LongWholeAnswersArePackedForWhoAcceptsIt) {
  ServerLimits limits;
  limits.compress_above = 1000;
  serve(
      [&](std::uint16_t port) -> Task<void> {
        const std::string text(5000, 'a');
        const std::string packed = co_await exchange(port, post_of(5000, "Accept-Encoding: gzip\r\n") + text);
        EXPECT_NE(packed.find("Content-Encoding: gzip\r\n"), std::string::npos) << packed.substr(0, 300);
        EXPECT_NE(packed.find("Vary: Accept-Encoding\r\n"), std::string::npos);
        EXPECT_LT(packed.size(), 500U);
        const std::string plain = co_await exchange(port, post_of(5000) + text);
        EXPECT_EQ(plain.find("Content-Encoding"), std::string::npos);
        EXPECT_TRUE(plain.ends_with(text));
        const std::string small =
            co_await exchange(port, post_of(999, "Accept-Encoding: gzip\r\n") + std::string(999, 'a'));
        EXPECT_EQ(small.find("Content-Encoding"), std::string::npos);
      },
      limits);
}

}  // namespace
}  // namespace autoglm::http
