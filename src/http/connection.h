#pragma once

#include "http/server.h"

namespace autoglm::http {

/// A Server's view of one of its connections, of either HTTP version. Loop thread only.
class Server::Connection {
 public:
  explicit Connection(Server& server) : server_(server) { server_.open_.insert(this); }
  virtual ~Connection() { server_.open_.erase(this); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Whether no request is in flight.
  virtual bool idle() const = 0;
  /// Ends the connection as soon as no request is in flight, if it has had one: a client that has sent
  /// nothing yet is about to, and shall be answered.
  virtual void drain() = 0;

 protected:
  /// Announces the end of the stream: a TLS client takes an unannounced end for an attacker's truncation.
  [[gnu::noinline]] static Task<void> end_writing(ByteStream& stream);
  /// The same, then reads what still arrives for a moment: closing a socket that has unread input resets the
  /// connection, and the reset may overtake the answer.
  [[gnu::noinline]] static Task<void> linger(ByteStream& stream);

  Server& server_;
};

}  // namespace autoglm::http
