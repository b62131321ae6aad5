#include "http/server.h"

#include "http/http1_connection.h"
#include "http/http2_connection.h"

#include <fmt/format.h>

#include <new>
#include <utility>

namespace autoglm::http {

Server::Server(std::unique_ptr<Listener> listener, const ServerLimits& limits, Handler& handler)
    : listener_(std::move(listener)),
      port_(listener_->port()),
      limits_(limits),
      handler_(handler),
      reserve_(limits.reserve) {}

Server::~Server() = default;

void Server::start() { accepting_.spawn(accept_all()); }

void Server::drain() {
  draining_ = true;
  for (Connection* connection : open_) connection->drain();
}

void Server::stop_accepting() {
  accepting_.cancel();
  listener_.reset();
}

Server::Counts Server::counts() const {
  Counts counts = counts_;
  counts.open_connections = connections_.size();
  for (const Connection* connection : open_) counts.busy_connections += connection->idle() ? 0 : 1;
  return counts;
}

Task<void> Server::accept_all() {
  while (true) {
    auto stream = co_await listener_->accept();
    if (!stream) {
      // Out of descriptors, or the connection was gone before it was accepted. Neither is a reason to stop;
      // the first needs a moment.
      if (stream.error().reason == kOutOfSockets) {
        handler_.cannot_accept(stream.error());
        if (reserve_.release()) continue;
      }
      co_await sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    ++counts_.connections;
    try {
      connections_.spawn(limits_.reserve > 0 ? serve_from_reserve(std::move(*stream))
                                             : serve(std::move(*stream)));
    } catch (const std::bad_alloc&) {  // out of memory for this one; the next may fit
      ++counts_.refused;
    }
  }
}

/// Refills the reserve, from which the connection's descriptor may have come.
Task<void> Server::serve_from_reserve(std::unique_ptr<ByteStream> stream) {
  co_await serve(std::move(stream));
  reserve_.refill();
}

Task<void> Server::serve(std::unique_ptr<ByteStream> stream) {
  const ConnectionCounts::Place place(limits_.clients.get(), stream->peer());
  const bool full = connections_.size() > limits_.connections;
  if (tls_) {
    if (full || !place.granted()) {  // a handshake costs too much just to say so
      ++counts_.refused;
      co_return;
    }
    bool http2 = false;
    stream = co_await secure(std::move(stream), http2);
    if (!stream) co_return;
    if (http2) {
      co_await serve_http2(std::move(stream), {});
      co_return;
    }
  } else if (!place.granted()) {
    co_await turn_away(
        std::move(stream),
        {429,
         fmt::format("this client has {} connections open, as many as it may; close some, or use them again",
                     limits_.clients->limit())});
    co_return;
  } else if (full) {
    co_await turn_away(std::move(stream),
                       {503, "this server has as many connections as it takes; try again shortly"});
    co_return;
  }
  Http1Connection connection(*this, std::move(stream));
  co_await connection.run();
}

Task<void> Server::serve_http2(std::unique_ptr<ByteStream> stream, std::string begun) {
  Http2Connection connection(*this, std::move(stream));
  co_await connection.run(std::move(begun));
}

/// The stream within TLS; null when the connection has been dealt with.
Task<std::unique_ptr<ByteStream>> Server::secure(std::unique_ptr<ByteStream> stream, bool& http2) {
  const std::string peer = stream->peer();
  auto accepted = co_await tls_accept(tls_, std::move(stream), Deadline::after(limits_.header_time));
  if (!accepted) {
    ++counts_.refused;
    handler_.handshake_failed(accepted.error(), peer);
    co_return nullptr;
  }
  http2 = accepted->protocol == "h2";
  if (!accepted->plain) co_return std::move(accepted->stream);
  co_await turn_away(std::move(accepted->stream),
                     {400, "this port speaks TLS; write https:// instead of http://"});
  co_return nullptr;
}

Task<void> Server::turn_away(std::unique_ptr<ByteStream> stream, Refusal refusal) {
  Http1Connection connection(*this, std::move(stream));
  co_await connection.turn_away(std::move(refusal));
}

}  // namespace autoglm::http
