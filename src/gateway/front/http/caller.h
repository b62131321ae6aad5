#pragma once

#include "gateway/front/http/request_record.h"
#include "http/message.h"
#include "inference/call_context.h"
#include "runtime/deadline.h"

#include <string>

namespace autoglm::gateway {

/// Facts about the caller, from a request's head.

/// The tenant, which takes turns among equals: all requests with the same certificate's name, or the same
/// key. The certificate wins, since headers can be made up, and each would get another turn.
std::string tenant_of(const http::Request& request);

/// How long the caller waits for an answer, or for a stream's first token; it can only shorten the configured
/// time. Open-AutoGLM gateways send it, and clients may.
Deadline deadline_of(const http::Request& request);

/// The context of a call that is answered within `most`, or sooner if the caller wants that.
CallContext context_of(const http::Request& request, const RequestRecord& record, Duration most);

}  // namespace autoglm::gateway
