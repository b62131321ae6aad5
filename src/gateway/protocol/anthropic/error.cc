#include "gateway/protocol/anthropic/error.h"

#include "base/json_string.h"

namespace autoglm::protocol::anthropic {

std::string_view error_type(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kMethodNotAllowed:
    case ErrorCode::kRequestTimeout:
    case ErrorCode::kUnsupportedMedia:
    case ErrorCode::kUnprocessable:
      return "invalid_request_error";
    case ErrorCode::kUnauthenticated:
      return "authentication_error";
    case ErrorCode::kPermissionDenied:
      return "permission_error";
    case ErrorCode::kNotFound:
      return "not_found_error";
    case ErrorCode::kPayloadTooLarge:
      return "request_too_large";
    case ErrorCode::kResourceExhausted:
      return "rate_limit_error";
    case ErrorCode::kUnavailable:
      return "overloaded_error";
    case ErrorCode::kDeadlineExceeded:
      return "timeout_error";
    case ErrorCode::kCancelled:
    case ErrorCode::kInternal:
    case ErrorCode::kUnimplemented:
    case ErrorCode::kBadGateway:
    case ErrorCode::kDataLoss:
      return "api_error";
  }
  return "api_error";
}

std::string error_body(const Error& error) {
  std::string out = R"({"type":"error","error":{"type":")";
  out.append(error_type(error.code)).append(R"(","message":)");
  append_json_string(out, error.message);
  out += "}}";
  return out;
}

}  // namespace autoglm::protocol::anthropic
