#include "gateway/protocol/status.h"

namespace autoglm::protocol {

int http_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return 400;
    case ErrorCode::kUnauthenticated:
      return 401;
    case ErrorCode::kPermissionDenied:
      return 403;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kMethodNotAllowed:
      return 405;
    case ErrorCode::kRequestTimeout:
      return 408;
    case ErrorCode::kPayloadTooLarge:
      return 413;
    case ErrorCode::kUnsupportedMedia:
      return 415;
    case ErrorCode::kUnprocessable:
      return 422;
    case ErrorCode::kResourceExhausted:
      return 429;
    case ErrorCode::kCancelled:
      return 499;  // nginx's word for "the client went away"; only in logs
    case ErrorCode::kInternal:
      return 500;
    case ErrorCode::kUnimplemented:
      return 501;
    case ErrorCode::kBadGateway:
      return 502;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kDeadlineExceeded:
      return 504;
    case ErrorCode::kDataLoss:
      return 500;
  }
  return 500;
}

int grpc_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kCancelled:
      return 1;
    case ErrorCode::kInvalidArgument:
      return 3;
    case ErrorCode::kDeadlineExceeded:
    case ErrorCode::kRequestTimeout:
      return 4;
    case ErrorCode::kNotFound:
      return 5;
    case ErrorCode::kPermissionDenied:
      return 7;
    case ErrorCode::kPayloadTooLarge:
    case ErrorCode::kResourceExhausted:
      return 8;
    case ErrorCode::kUnprocessable:
      return 9;  // FAILED_PRECONDITION: the same call may succeed with another model
    case ErrorCode::kMethodNotAllowed:
    case ErrorCode::kUnsupportedMedia:
    case ErrorCode::kUnimplemented:
      return 12;
    case ErrorCode::kInternal:
      return 13;
    case ErrorCode::kBadGateway:
    case ErrorCode::kUnavailable:
      return 14;
    case ErrorCode::kDataLoss:
      return 15;
    case ErrorCode::kUnauthenticated:
      return 16;
  }
  return 13;
}

std::string_view openai_error_type(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
    case ErrorCode::kMethodNotAllowed:
    case ErrorCode::kRequestTimeout:
    case ErrorCode::kPayloadTooLarge:
    case ErrorCode::kUnsupportedMedia:
    case ErrorCode::kUnprocessable:
      return "invalid_request_error";
    case ErrorCode::kUnauthenticated:
      return "authentication_error";
    case ErrorCode::kPermissionDenied:
      return "permission_error";
    case ErrorCode::kResourceExhausted:
      return "rate_limit_error";
    case ErrorCode::kCancelled:
    case ErrorCode::kInternal:
    case ErrorCode::kUnimplemented:
    case ErrorCode::kBadGateway:
    case ErrorCode::kUnavailable:
    case ErrorCode::kDeadlineExceeded:
    case ErrorCode::kDataLoss:
      return "server_error";
  }
  return "server_error";
}

}  // namespace autoglm::protocol
