#include "base/error.h"

#include <utility>

namespace autoglm {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kUnauthenticated:
      return "unauthenticated";
    case ErrorCode::kPermissionDenied:
      return "permission_denied";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kMethodNotAllowed:
      return "method_not_allowed";
    case ErrorCode::kRequestTimeout:
      return "request_timeout";
    case ErrorCode::kPayloadTooLarge:
      return "payload_too_large";
    case ErrorCode::kUnsupportedMedia:
      return "unsupported_media";
    case ErrorCode::kUnprocessable:
      return "unprocessable";
    case ErrorCode::kResourceExhausted:
      return "resource_exhausted";
    case ErrorCode::kCancelled:
      return "cancelled";
    case ErrorCode::kInternal:
      return "internal";
    case ErrorCode::kUnimplemented:
      return "unimplemented";
    case ErrorCode::kBadGateway:
      return "bad_gateway";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kDeadlineExceeded:
      return "deadline_exceeded";
    case ErrorCode::kDataLoss:
      return "data_loss";
  }
  return "unknown";
}

std::string Error::describe() const {
  std::string text(to_string(code));
  text += ": ";
  text += message;
  if (cause) {
    text += " (cause: ";
    text += cause->describe();
    text += ")";
  }
  return text;
}

Error invalid_field(std::string param, std::string message, std::string reason) {
  return Error{.code = ErrorCode::kInvalidArgument,
               .origin = Origin::kClient,
               .message = std::move(message),
               .param = std::move(param),
               .reason = std::move(reason)};
}

Error caused_by(Error outer, Error cause) {
  outer.cause = std::make_shared<const Error>(std::move(cause));
  return outer;
}

}  // namespace autoglm
