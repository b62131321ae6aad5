#pragma once

#include "http/connection.h"
#include "http/http2_session.h"
#include "runtime/signal.h"

#include <memory>
#include <string>

namespace autoglm::http {

/// HTTP/2 on one connection: two coroutines carry bytes between the stream and an Http2Session, each request
/// is answered by its own task, and the output of all tasks in one turn of the loop goes out together.
class Server::Http2Connection final : public Connection {
 public:
  Http2Connection(Server& server, std::unique_ptr<ByteStream> stream);

  /// `begun`: what the client has sent already.
  Task<void> run(std::string begun);
  bool idle() const override { return session_.streams() == 0; }
  void drain() override;

 private:
  class Exchange;

  Task<void> receive(std::string begun);
  Task<void> transmit();
  [[gnu::noinline]] Task<void> say_the_rest();
  /// Wakes the sender: there may be something to send.
  void wake() { wanted_.set(); }
  void watch_time();

  std::unique_ptr<ByteStream> stream_;
  bool sending_ = false;  // a write is in progress, or has failed
  Signal wanted_;
  Timer timer_;
  Http2Session session_;  // last: its streams use all of the above
};

}  // namespace autoglm::http
