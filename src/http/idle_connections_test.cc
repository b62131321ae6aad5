#include "http/idle_connections.h"

#include "http/client.h"
#include "http/testing/scripted_server.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace autoglm::http {
namespace {

using namespace std::chrono_literals;

/// What is sent over a client's connections, and when.
class IdleConnectionsTest : public ::testing::Test {
 protected:
  /// Status and body of a GET, or the error's code.
  Task<std::string> fetch(Client& client, std::string url) {
    auto response = co_await client.send({.url = Url::parse(url).value(), .headers = {}});
    if (!response) co_return std::string(to_string(response.error().code));
    const auto body = co_await (*response)->read_all(1 << 20);
    co_return std::to_string((*response)->status()) + " " + body.value_or("cut off");
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

/// A server whose connections the test controls: `said` is what it has sent on each so far.
class HeldServer {
 public:
  HeldServer() : listener_(TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value()) {
    scope_.spawn(run());
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(listener_->port()) + "/"; }
  Task<void> say(std::size_t connection, std::string text) {
    if (connection >= streams.size()) {
      ADD_FAILURE() << "there is no connection " << connection;
      co_return;
    }
    co_await streams[connection]->write_all(std::string_view(text));
  }

  std::vector<std::unique_ptr<ByteStream>> streams;
  std::vector<std::string> requests;

 private:
  Task<void> run() {
    while (true) {
      auto stream = (co_await listener_->accept()).value();
      streams.push_back(std::move(stream));
      scope_.spawn(serve(streams.size() - 1));
    }
  }
  Task<void> serve(std::size_t connection) {
    std::array<char, 4096> buffer;
    while (true) {
      const auto count = co_await streams[connection]->read_some(std::span<char>(buffer));
      if (!count || *count == 0) co_return;
      requests.emplace_back(buffer.data(), *count);
      co_await say(connection, answer_of(std::to_string(requests.size())));
    }
  }

  std::unique_ptr<TcpListener> listener_;
  Scope scope_;
};

/// Waits until the client has `idle` idle connections.
Task<void> settle(const Client& client, std::size_t idle) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (client.idle_connections() != idle && std::chrono::steady_clock::now() < deadline)
    co_await sleep_for(1ms);
  EXPECT_EQ(client.idle_connections(), idle);
}

TEST_F(IdleConnectionsTest, AnAnswerThatNobodyAskedForEndsItsConnection) {
  run_task(loop_, [&]() -> Task<void> {
    HeldServer server;
    Client client(pool_, nullptr);
    EXPECT_EQ(co_await fetch(client, server.url()), "200 1");
    EXPECT_EQ(client.idle_connections(), 1U);
    co_await server.say(0, answer_of("stale"));
    co_await settle(client, 0);
    EXPECT_EQ(co_await fetch(client, server.url()), "200 2");
    EXPECT_EQ(server.streams.size(), 2U);
    // Anything closes the connection, not only whole answers, and not only the first time.
    co_await server.say(1, "\r");
    co_await settle(client, 0);
    EXPECT_EQ(co_await fetch(client, server.url()), "200 3");
  }());
}

TEST_F(IdleConnectionsTest, WhatArrivedWithAnAnswerIsNotTheNextOne) {
  run_task(loop_, [&]() -> Task<void> {
    // As long as one read, so that the client cannot see that there is more.
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: ";
    const std::size_t body = 2048 - (head.size() + 8);
    ScriptedServer server(
        {head + std::to_string(body) + "\r\n\r\n" + std::string(body, 'a') + answer_of("stale"),
         answer_of("b")});
    Client client(pool_, nullptr);
    EXPECT_EQ(co_await fetch(client, server.url()), "200 " + std::string(body, 'a'));
    EXPECT_EQ(co_await fetch(client, server.url()), "200 b") << "at once, before the loop has looked";
  }());
}

TEST_F(IdleConnectionsTest, TheEndOfAKeptConnectionIsSeenAtOnce) {
  run_task(loop_, [&]() -> Task<void> {
    HeldServer server;
    Client client(pool_, nullptr);
    EXPECT_EQ(co_await fetch(client, server.url()), "200 1");
    EXPECT_TRUE(co_await server.streams[0]->shutdown_write());
    co_await settle(client, 0);
  }());
}

}  // namespace
}  // namespace autoglm::http
