#pragma once

#include "gateway/protocol/codec.h"
#include "gateway/protocol/openai/error.h"
#include "gateway/protocol/responses/request.h"

#include <functional>
#include <string>
#include <string_view>

namespace autoglm::protocol::responses {

/// What later requests may want of an answer that has ended well.
struct FinishedResponse {
  std::string id;
  std::string document;  ///< the response object
  ChatMessage message;   ///< what the assistant said and did
};
/// Called at most once for an answer, before its last bytes are sent.
using OnFinished = std::function<void(FinishedResponse)>;

/// The id of the response that answers the request `request_id`.
std::string response_id(std::string_view request_id);

/// The call that `request` describes, once its prompt is made. `on_finished` may be empty.
DecodedCall make_call(ResponsesRequest request, OnFinished on_finished);

/// POST /v1/responses (platform.openai.com/docs/api-reference/responses) without anything stored: a request
/// that goes on from another response is refused. Requests are known by their work alone, so an endpoint that
/// speaks another protocol may answer them.
class ResponsesCodec : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override;
  /// Always an error: no other server judges these bodies.
  Result<DecodedCall> outline(std::string_view body) const override;
  std::string error_body(const Error& error) const override { return openai::error_body(error); }
};

}  // namespace autoglm::protocol::responses
