#pragma once

#include "base/clock.h"
#include "runtime/socket.h"
#include "runtime/tls.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::redis {

/// Which Redis, and as whom. Immutable once a client has it.
struct Options {
  HostPort address{"127.0.0.1", 6379};
  std::vector<HostPort> sentinels;  ///< they know the address of `master`; empty: `address` is the server's
  std::string master;
  std::string username;                             ///< empty: Redis' default user
  std::string password;                             ///< empty: none is needed. Sentinels are asked without it
  std::shared_ptr<const TlsClientContext> tls;      ///< null: without TLS
  std::string tls_name;                             ///< expected in certificates; empty: the address's host
  Duration timeout = std::chrono::milliseconds(5);  ///< a server that needs longer for a reply is in doubt
  Duration connect_timeout = std::chrono::seconds(1);
  Duration stall = std::chrono::seconds(1);  ///< a connection in doubt for so long is closed
};

}  // namespace autoglm::redis
