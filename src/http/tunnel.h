#pragma once

#include "base/result.h"
#include "http/proxy.h"
#include "runtime/byte_stream.h"
#include "runtime/deadline.h"

namespace autoglm::http {

/// Asks the proxy at the other end of `stream` for a connection to `target` (CONNECT); afterwards the stream
/// is one to `target`. Errors: kUnavailable with the proxy's answer, kDeadlineExceeded.
Task<Result<void>> open_tunnel(ByteStream& stream, const HostPort& target, const Proxy& proxy,
                               Deadline deadline);

}  // namespace autoglm::http
