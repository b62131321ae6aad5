#include "gateway/protocol/responses/responses_codec.h"

#include "gateway/protocol/responses/response_encoder.h"

#include <memory>
#include <utility>

namespace autoglm::protocol::responses {

std::string response_id(std::string_view request_id) { return std::string("resp_").append(request_id); }

DecodedCall make_call(ResponsesRequest request, OnFinished on_finished) {
  const bool stream = request.stream;
  auto echo = std::make_shared<const Echo>(std::move(request.echo));
  return DecodedCall{.model = std::move(request.model),
                     .work = std::move(request.work),
                     .stream = stream,
                     .unknown_fields = request.unknown_fields,
                     .make_encoder = [stream, echo = std::move(echo),
                                      on_finished = std::move(on_finished)](const AnswerFacts& facts) {
                       return make_response_encoder(facts, echo, on_finished, stream);
                     }};
}

Result<DecodedCall> ResponsesCodec::decode(std::string_view body) const {
  auto request = read_request(body);
  if (!request) return fail(std::move(request).error());
  if (!request->previous.empty()) {
    refuse(*request, "previous_response_id",
           "previous_response_id is not supported by this server, which stores no responses: send the "
           "conversation as input");
  }
  if (request->references > 0) {
    refuse(*request, "input",
           "input has an item of type item_reference, and this server stores no responses: send the item "
           "itself");
  }
  make_prompt(*request, {});
  return make_call(std::move(*request), nullptr);
}

Result<DecodedCall> ResponsesCodec::outline(std::string_view /*body*/) const {
  return fail(ErrorCode::kUnimplemented, "no other server judges the bodies of /v1/responses");
}

}  // namespace autoglm::protocol::responses
