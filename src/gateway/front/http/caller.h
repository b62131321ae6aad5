#pragma once

#include "gateway/front/http/request_record.h"
#include "http/message.h"
#include "inference/call_context.h"
#include "runtime/deadline.h"

#include <string>

namespace autoglm::gateway {

/// What a request's head says of its caller.

/// Whose turn it is among equals: whoever shares a certificate's name, or a key. A certificate goes first:
/// headers can be made up, and each would be another turn.
std::string tenant_of(const http::Request& request);

/// How long the caller waits for an answer, of a stream for its first token; it only shortens what is
/// configured. A gateway of ours says so, and so may clients.
Deadline deadline_of(const http::Request& request);

/// Of a call that is answered within `most`, or as soon as the caller wants it.
CallContext context_of(const http::Request& request, const RequestRecord& record, Duration most);

}  // namespace autoglm::gateway
