#include "gateway/protocol/client_codec.h"

#include "gateway/protocol/openai/frame.h"

namespace autoglm::protocol {

std::vector<std::pair<std::string, std::string>> ClientCodec::headers(std::string_view api_key) const {
  if (api_key.empty()) return {};
  return {{"Authorization", "Bearer " + std::string(api_key)}};
}

EndpointPath ClientCodec::passing_path(const InferenceRequest& request,
                                       const EndpointTerms& /*terms*/) const {
  const OpaqueRequest* passed = request.opaque();
  return {.path = "/v1/" + (passed == nullptr ? std::string() : passed->path)};
}

Error ClientCodec::read_error(int status, std::string_view body,
                              std::optional<std::chrono::seconds> retry_after) const {
  return openai::read_error(status, body, retry_after);
}

Continuation ClientCodec::continuation(const InferenceRequest& /*request*/,
                                       const EndpointTerms& /*terms*/) const {
  return Continuation::kNone;
}

}  // namespace autoglm::protocol
