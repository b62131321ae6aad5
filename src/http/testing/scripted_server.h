#pragma once

#include "runtime/scope.h"
#include "runtime/socket.h"

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::http {

/// A whole answer.
inline std::string answer_of(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// A server that sends exactly the given bytes, one script per connection, and then closes.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::vector<std::string> scripts)
      : listener_(TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value()),
        scripts_(std::move(scripts)) {
    scope_.spawn(run());
  }

  std::string url(const std::string& path = "/") const {
    return "http://127.0.0.1:" + std::to_string(listener_->port()) + path;
  }
  std::string seen;  ///< everything that clients have sent
  std::size_t connections = 0;

 private:
  Task<void> run() {
    for (const std::string& script : scripts_) {
      auto stream = (co_await listener_->accept()).value();
      ++connections;
      std::array<char, 4096> buffer;
      const auto count = co_await stream->read_some(std::span<char>(buffer));
      if (count) seen.append(buffer.data(), *count);
      co_await stream->write_all(std::string_view(script));
    }
  }

  std::unique_ptr<TcpListener> listener_;
  std::vector<std::string> scripts_;
  Scope scope_;
};

}  // namespace autoglm::http
