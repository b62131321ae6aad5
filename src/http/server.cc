#include "http/server.h"

#include "http/connection.h"

#include <fmt/format.h>

#include <utility>

namespace autoglm::http {

Server::Server(std::unique_ptr<TcpListener> listener, const ServerLimits& limits, Handler& handler)
    : listener_(std::move(listener)), port_(listener_->port()), limits_(limits), handler_(handler) {}

Server::~Server() = default;

void Server::start() { accepting_.spawn(accept_all()); }

void Server::drain() {
  draining_ = true;
  for (Connection* connection : open_) connection->close_if_idle();
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
      // Out of descriptors, or a connection that was gone before we took it. Neither is a reason to
      // stop; the first needs a moment.
      co_await sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    ++counts_.connections;
    connections_.spawn(serve(std::move(*stream)));
  }
}

Task<void> Server::serve(std::unique_ptr<ByteStream> stream) {
  const ConnectionCounts::Place place(limits_.clients.get(), stream->peer());
  Connection connection(*this, std::move(stream));
  if (!place.granted()) {
    co_await connection.turn_away(
        {429,
         fmt::format("this client has {} connections open, as many as it may; close some, or use them again",
                     limits_.clients->limit())});
    co_return;
  }
  if (connections_.size() > limits_.connections) {
    co_await connection.turn_away(
        {503, "this server has as many connections as it takes; try again shortly"});
    co_return;
  }
  co_await connection.run();
}

}  // namespace autoglm::http
