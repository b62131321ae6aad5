#pragma once

#include "http/testing/http2_test_connection.h"
#include "runtime/scope.h"
#include "runtime/socket.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace autoglm::http {

/// A server of such connections, on loopback.
class Http2TestServer {
 public:
  explicit Http2TestServer(Http2TestConnection::Told told, std::vector<nghttp2_settings_entry> settings = {})
      : listener_(TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value()),
        told_(std::move(told)),
        settings_(std::move(settings)) {
    scope_.spawn(accept());
  }

  std::uint16_t port() const { return listener_->port(); }
  std::vector<std::unique_ptr<Http2TestConnection>> connections;

 private:
  Task<void> accept() {
    while (true) {
      auto stream = co_await listener_->accept();
      if (!stream) co_return;
      connections.push_back(std::make_unique<Http2TestConnection>(std::move(*stream), told_, settings_));
    }
  }

  std::unique_ptr<TcpListener> listener_;
  Http2TestConnection::Told told_;
  std::vector<nghttp2_settings_entry> settings_;
  Scope scope_;
};

}  // namespace autoglm::http
