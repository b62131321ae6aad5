#pragma once

#include "base/error.h"
#include "gateway/admission/keys/key_ring.h"
#include "gateway/front/http/request_record.h"
#include "http/message.h"
#include "inference/group_shares.h"

#include <optional>

namespace autoglm::gateway {

/// Finds which of `keys` the request shows, and notes the caller and the priority in `record`. The key stands
/// behind `Authorization: Bearer`, in `x-api-key`, or in `api-key`, which Azure's clients send. Returns why
/// the client may not go on: kUnauthenticated, or kInvalidArgument for its `x-priority`. Without any keys all
/// may.
std::optional<Error> recognize(const LiveKeys& keys, const http::Request& request, RequestRecord& record);

/// In the process of an engine: notes the caller and the priority that its server says, and takes the groups'
/// shares. Only a server can be heard this way: clients do not reach such a process.
void hear_server(LiveGroupShares& shares, const http::Request& request, RequestRecord& record);

}  // namespace autoglm::gateway
