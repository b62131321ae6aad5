#pragma once

#include "base/result.h"
#include "redis/options.h"
#include "runtime/blocking_pool.h"
#include "runtime/byte_stream.h"
#include "runtime/task.h"

#include <memory>

namespace autoglm::redis {

/// A connection that is ready for commands.
struct Dialed {
  std::unique_ptr<ByteStream> stream;
  bool is_cluster = false;  ///< the server says that it belongs to a cluster
};

/// Connects to the server at `target`, with TLS and a user as `options` say, within their time to connect.
/// `options` must outlive the task. Errors: kUnavailable, kDeadlineExceeded; kPermissionDenied with the
/// server's words when it does not let the user in.
Task<Result<Dialed>> dial(BlockingPool& names, const Options& options, HostPort target);

/// Connects to the server that `options` mean: the one at `address`, or the present master that one of the
/// sentinels names, which must say itself that it is one.
Task<Result<Dialed>> dial_master(BlockingPool& names, const Options& options);

}  // namespace autoglm::redis
