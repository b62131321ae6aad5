#pragma once

#include "gateway/front/call/call_record.h"
#include "gateway/front/call/generation_call.h"
#include "http/message.h"
#include "inference/call_context.h"
#include "runtime/deadline.h"

#include <string>

namespace autoglm::gateway {

/// Facts about the caller, from a request's head.

/// The tenant, which takes turns among equals: all requests with the same certificate's name, or the same
/// key. The certificate wins, since headers can be made up, and each would get another turn; its kind stands
/// before the name, so that no key is another's certificate. Empty: neither.
std::string tenant_of(const http::Request& request);

/// How long the caller waits for an answer, or for a stream's first token; it can only shorten the configured
/// time. Open-AutoGLM gateways send it, and clients may.
Deadline deadline_of(const http::Request& request);

/// The tenant of the caller, where it is known; else as `tenant_of` has it.
std::string tenant_of(const http::Request& request, const CallRecord& record);

/// Whose the answers are that this server keeps: the caller's key's, where it is known; else as `tenant_of`
/// has it.
std::string owner_of(const http::Request& request, const CallRecord& record);

CallContext context_of(const http::Request& request, const CallRecord& record);

/// The request's body, which is taken, and what its head says of it.
IncomingCall incoming_call(http::Request& request, const CallRecord& record);

}  // namespace autoglm::gateway
