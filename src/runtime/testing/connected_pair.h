#pragma once

#include "runtime/blocking_pool.h"
#include "runtime/byte_stream.h"
#include "runtime/scope.h"
#include "runtime/socket.h"

#include <memory>

namespace autoglm {

/// Both ends of a connection.
struct ConnectedPair {
  std::unique_ptr<ByteStream> client;
  std::unique_ptr<ByteStream> server;
};

/// A connection over loopback, both ends on the current loop.
inline Task<ConnectedPair> connect_over_loopback(BlockingPool& pool) {
  auto listener = TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value();
  ConnectedPair pair;
  Scope scope;
  scope.spawn([](TcpListener& from, ConnectedPair& out) -> Task<void> {
    out.server = (co_await from.accept()).value();
  }(*listener, pair));
  pair.client =
      (co_await tcp_connect(pool, {"127.0.0.1", listener->port()}, Deadline::after(std::chrono::seconds(10))))
          .value();
  co_await scope.join();
  co_return pair;
}

}  // namespace autoglm
