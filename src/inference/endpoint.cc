#include "inference/endpoint.h"

#include <fmt/format.h>

namespace autoglm {

Error load_failed(const std::string& model, const std::string& why) {
  return caused_by(
      Error{.code = ErrorCode::kUnavailable,
            .origin = Origin::kEndpoint,
            .retry = Retry::kElsewhere,
            .message = fmt::format("the model \"{}\" could not be loaded; the server's log says why", model),
            .reason = "model_failed"},
      Error{.code = ErrorCode::kUnavailable,
            .message = fmt::format("the model \"{}\" could not be loaded: {}", model, why)});
}

}  // namespace autoglm
