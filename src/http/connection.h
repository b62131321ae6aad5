#pragma once

#include "http/server.h"

namespace autoglm::http {

/// What a Server knows of each of its connections, whichever HTTP it speaks. Loop thread only.
class Server::Connection {
 public:
  explicit Connection(Server& server) : server_(server) { server_.open_.insert(this); }
  virtual ~Connection() { server_.open_.erase(this); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Whether no request is under way.
  virtual bool idle() const = 0;
  /// Ends it as soon as no request is under way, if it has had one: who has sent nothing yet is about to, and
  /// shall hear an answer.
  virtual void drain() = 0;

 protected:
  /// Says that nothing more will come: a client within TLS takes an end that nobody has announced for an
  /// attacker's cut.
  [[gnu::noinline]] static Task<void> end_writing(ByteStream& stream);
  /// The same, and reads what still arrives, for a moment: closing a socket that has unread input resets the
  /// connection, and the reset may overtake the answer.
  [[gnu::noinline]] static Task<void> linger(ByteStream& stream);

  Server& server_;
};

}  // namespace autoglm::http
