#include "gateway/protocol/llama/error.h"

#include "base/json_string.h"
#include "gateway/protocol/status.h"

#include <fmt/format.h>

namespace autoglm::protocol::llama {

namespace {

std::string_view type_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kNotFound:
    case ErrorCode::kMethodNotAllowed:
      return "not_found_error";
    case ErrorCode::kUnauthenticated:
      return "authentication_error";
    case ErrorCode::kPermissionDenied:
      return "permission_error";
    case ErrorCode::kUnimplemented:
      return "not_supported_error";
    case ErrorCode::kUnavailable:
    case ErrorCode::kResourceExhausted:
      return "unavailable_error";
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kRequestTimeout:
    case ErrorCode::kPayloadTooLarge:
    case ErrorCode::kUnsupportedMedia:
    case ErrorCode::kUnprocessable:
      return "invalid_request_error";
    case ErrorCode::kCancelled:
    case ErrorCode::kInternal:
    case ErrorCode::kBadGateway:
    case ErrorCode::kDeadlineExceeded:
    case ErrorCode::kDataLoss:
      return "server_error";
  }
  return "server_error";
}

}  // namespace

std::string error_body(const Error& error) {
  std::string out = fmt::format(R"({{"error":{{"code":{},"message":)", http_status(error.code));
  append_json_string(out, error.message);
  out += fmt::format(R"(,"type":"{}")", type_of(error.code));
  if (!error.param.empty()) out.append(R"(,"param":)").append(json_string(error.param));
  out += "}}";
  return out;
}

}  // namespace autoglm::protocol::llama
