#pragma once

#include "base/result.h"
#include "runtime/task.h"

#include <cstddef>
#include <string>

namespace autoglm::http {

/// The body of a request whose handler reads it while it arrives (`Handler::reads_pieces`). What has been
/// read is acknowledged to the client, which may send at most a flow-control window beyond that. Belongs to
/// the request.
class RequestBody {
 public:
  virtual ~RequestBody() = default;

  /// Appends what has arrived to `to`; waits while that is nothing. False: the body is over. One call at a
  /// time; its task may be destroyed, and nothing is lost. Errors: kUnavailable, no memory is left for
  /// bodies.
  virtual Task<Result<bool>> read_some(std::string& to) = 0;

  /// Whether the handler may keep `bytes` of what it has read, all in all; they count as the body's memory
  /// until it keeps fewer, or the request ends.
  virtual bool keep(std::size_t bytes) = 0;

  /// The size of the largest body that is read whole: a bound for what a handler should put together.
  virtual std::size_t most() const = 0;
};

}  // namespace autoglm::http
