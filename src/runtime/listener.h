#pragma once

#include "base/result.h"
#include "runtime/byte_stream.h"
#include "runtime/task.h"

#include <cstdint>
#include <memory>

namespace autoglm {

/// Where a server's connections come from. Loop thread only; destroying it ends that.
class Listener {
 public:
  virtual ~Listener() = default;

  virtual Task<Result<std::unique_ptr<ByteStream>>> accept() = 0;
  /// 0 where there are none.
  virtual std::uint16_t port() const { return 0; }
};

}  // namespace autoglm
