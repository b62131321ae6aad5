#pragma once

#include "base/result.h"
#include "runtime/byte_stream.h"
#include "runtime/task.h"

#include <cstdint>
#include <memory>

namespace autoglm {

/// A source of a server's connections. Loop thread only; destroying it stops listening.
class Listener {
 public:
  virtual ~Listener() = default;

  virtual Task<Result<std::unique_ptr<ByteStream>>> accept() = 0;
  /// 0 if the listener has no port.
  virtual std::uint16_t port() const { return 0; }
};

}  // namespace autoglm
