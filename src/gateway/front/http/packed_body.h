#pragma once

#include "base/result.h"
#include "http/message.h"
#include "http/shared_limits.h"
#include "runtime/task.h"

#include <cstddef>

namespace autoglm::gateway {

/// Unpacks the request's body in place, as its Content-Encoding says, to at most `most` bytes, which `memory`
/// covers; yields to the loop in between. Errors: kUnsupportedMedia for an unknown coding or several,
/// kInvalidArgument for a body that is not packed like that, kPayloadTooLarge, kUnavailable.
Task<Result<void>> unpack_body(http::Request& request, std::size_t most, http::BodyMemory::Share& memory);

}  // namespace autoglm::gateway
