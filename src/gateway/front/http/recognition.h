#pragma once

#include "base/error.h"
#include "gateway/admission/keys/key_ring.h"
#include "gateway/admission/keys/token_verifier.h"
#include "gateway/front/http/request_record.h"
#include "http/message.h"
#include "inference/group_shares.h"

#include <optional>

namespace autoglm::gateway {

/// How callers are recognized.
struct Recognizers {
  const LiveKeys* keys = nullptr;   ///< null: nobody needs to show anything
  TokenVerifier* tokens = nullptr;  ///< null: tokens are not taken
};

/// Finds which of `by.keys` the request shows, or who vouches for it by a token; without either, whose the
/// client's certificate is, and notes the caller and the
/// priority in `record`. The key stands behind `Authorization: Bearer`, in `x-api-key`, or in `api-key`,
/// which Azure's clients send. Returns why the client may not go on: kUnauthenticated, kUnavailable while a
/// token cannot be verified yet, or kInvalidArgument for its `x-priority`. Where no key is asked for, all
/// may. Keys expire by the calendar's clock, as it is set: `now`.
std::optional<Error> recognize(const Recognizers& by, const http::Request& request, RequestRecord& record,
                               WallTime now);

/// In the process of an engine: notes the caller and the priority that its server says, and takes the groups'
/// shares. Only a server can be heard this way: clients do not reach such a process.
void hear_server(LiveGroupShares& shares, const http::Request& request, RequestRecord& record);

}  // namespace autoglm::gateway
