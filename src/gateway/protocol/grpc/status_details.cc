#include "gateway/protocol/grpc/status_details.h"

#include "gateway/protocol/status.h"

#include <google/rpc/status.pb.h>

#include <cstdint>

namespace autoglm::protocol::grpc {

namespace {

void add(google::rpc::Status& status, std::string_view type, const google::protobuf::MessageLite& message) {
  google::rpc::Detail& detail = *status.add_details();
  detail.set_type_url(std::string("type.googleapis.com/google.rpc.").append(type));
  message.SerializeToString(detail.mutable_value());
}

}  // namespace

std::string percent_encoded(std::string_view message) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  out.reserve(message.size());
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '%') {
      out += c;
    } else {
      out.append({'%', kDigits[byte >> 4U], kDigits[byte & 0xfU]});
    }
  }
  return out;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  std::uint32_t bits = 0;
  unsigned count = 0;  // of `bits` that are not written yet
  for (const char c : bytes) {
    bits = bits << 8U | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6) out += kLetters[bits >> (count - 6) & 0x3fU];
  }
  if (count > 0) out += kLetters[bits << (6 - count) & 0x3fU];
  return out;
}

std::string status_details(const Error& error) {
  google::rpc::Status status;
  if (!error.param.empty()) {
    google::rpc::BadRequest bad;
    auto& violation = *bad.add_field_violations();
    violation.set_field(error.param);
    violation.set_description(error.message);
    add(status, "BadRequest", bad);
  }
  if (!error.reason.empty()) {
    google::rpc::ErrorInfo info;
    info.set_reason(error.reason);
    info.set_domain("open-autoglm");
    add(status, "ErrorInfo", info);
  }
  if (error.retry_after) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(error.retry_after->count());
    add(status, "RetryInfo", retry);
  }
  if (status.details().empty()) return {};
  status.set_code(grpc_status(error.code));
  status.set_message(error.message);
  return base64(status.SerializeAsString());
}

}  // namespace autoglm::protocol::grpc
