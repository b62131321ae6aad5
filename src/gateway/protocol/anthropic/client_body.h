#pragma once

#include "base/result.h"
#include "gateway/protocol/client_codec.h"

#include <string>
#include <string_view>

namespace autoglm::protocol::anthropic {

/// A chat as the body of `/v1/messages`, asked as a stream. Errors: kInvalidArgument, for what these cannot
/// say.
Result<std::string> messages_body(const InferenceRequest& request, const EndpointTerms& terms,
                                  std::string_view protocol);

}  // namespace autoglm::protocol::anthropic
