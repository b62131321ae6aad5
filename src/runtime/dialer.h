#pragma once

#include "base/result.h"
#include "runtime/byte_stream.h"
#include "runtime/deadline.h"
#include "runtime/task.h"

#include <memory>

namespace autoglm {

/// Connects to an endpoint that has no address. Thread-safe; what it returns belongs to the calling loop.
class Dialer {
 public:
  virtual ~Dialer() = default;

  /// A new connection. Errors: kUnavailable, kDeadlineExceeded.
  virtual Task<Result<std::unique_ptr<ByteStream>>> dial(Deadline deadline) = 0;
};

}  // namespace autoglm
