#include "http/testing/server_fixture.h"

#include <fmt/format.h>

namespace autoglm::http {
namespace {

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

TEST_F(ServerTest, BodiesInChunksShareItToo) {
  ServerLimits limits;
  limits.body_memory = std::make_shared<BodyMemory>(1'200'000);
  serve(
      [&](std::uint16_t port) -> Task<void> {
        const auto chunked = [](const std::string& body) {
          return fmt::format(
              "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
              "{:x}\r\n{}\r\n0\r\n\r\n",
              body.size(), body);
        };
        EXPECT_TRUE((co_await exchange(port, chunked(std::string(300'000, 'x')))).ends_with("xxx"));
        const std::string refused = co_await exchange(port, chunked(std::string(900'000, 'y')));
        EXPECT_TRUE(refused.starts_with("HTTP/1.1 503 ")) << refused.substr(0, 200);
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
  limits.answer_memory = std::make_shared<BodyMemory>(200'000);
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
        const std::string large(250'000, 'a');
        const std::string accepting = "Accept-Encoding: gzip\r\n";
        EXPECT_TRUE((co_await exchange(port, post_of(large.size(), accepting) + large)).ends_with(large))
            << "there is no memory for another one beside it";
        EXPECT_EQ(limits.answer_memory->used(), 0U);
      },
      limits);
}

}  // namespace
}  // namespace autoglm::http
