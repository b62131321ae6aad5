#pragma once

#include "base/result.h"
#include "gateway/protocol/client_codec.h"
#include "inference/request.h"

#include <optional>
#include <string>
#include <string_view>

namespace autoglm::protocol::openai {

/// The client's side of the protocol: what this process asks of an endpoint that speaks it.

/// Where a request of `protocol` goes, below the endpoint's API; of kGenerate below its root.
std::string_view request_path(WireBody::Protocol protocol);

/// The client's body with the few members changed that the endpoint must see differently; nothing: it goes as
/// it is. Of a path that is unknown here only the model's name is changed, where the body has one. Errors:
/// kInvalidArgument, for a body that cannot be edited.
Result<std::optional<std::string>> changed_body(const InferenceRequest& request, const EndpointTerms& terms);

}  // namespace autoglm::protocol::openai
