#pragma once

#include "http/server.h"
#include "runtime/race.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm::http {

using namespace std::chrono_literals;

/// Answers by path and records what it saw.
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
    } else if (request.path == "/no-content") {
      if (request.query == "whole") {
        co_await response.send(204, "text/plain", "lost");
      } else {
        co_await response.start(204, "text/plain");
        co_await response.write("lost");
        co_await response.finish();
      }
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
    } else if (request.path == "/no-memory") {
      throw std::bad_alloc();
    } else if (request.path == "/throw") {
      throw std::runtime_error("broken");
    }  // any other path: no answer at all
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
  std::atomic<int> handled = 0;
  int left = 0;
  Signal entered;
  Signal left_signal;
  Signal flood_ended;
};

class ServerTest : public ::testing::Test {
 protected:
  /// Runs `scenario(port)` against a server on its own loop.
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

  /// Sends `bytes` and reads to the end.
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

inline std::string get(const std::string& path, const std::string& more = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + more + "\r\n";
}
inline std::string post(const std::string& path, const std::string& body, const std::string& more = "") {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         more + "\r\n" + body;
}

}  // namespace autoglm::http
