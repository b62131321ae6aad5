#pragma once

#include "base/result.h"
#include "http/message.h"
#include "http/shared_limits.h"
#include "runtime/task.h"

#include <cstddef>

namespace autoglm::gateway {

/// Puts what is packed in the request's body, as its Content-Encoding says, in the place of it; at most
/// `most` bytes, which `memory` covers, with the loop for others in between. Errors: kUnsupportedMedia for a
/// coding that is unknown here or several, kInvalidArgument for a body that is not packed so,
/// kPayloadTooLarge, kUnavailable.
Task<Result<void>> unpack_body(http::Request& request, std::size_t most, http::BodyMemory::Share& memory);

}  // namespace autoglm::gateway
