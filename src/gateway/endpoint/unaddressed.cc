#include "gateway/endpoint/unaddressed.h"

#include <utility>

namespace autoglm::gateway {

namespace {

std::string_view what_happened(const Error& error) {
  if (error.reason == kOutOfSockets) return "this server can open no more connections now; try again shortly";
  if (error.reason == "connect_failed") return "the endpoint cannot be reached";
  if (error.reason == "connection_lost") return "the endpoint ended the connection before it answered";
  if (error.code == ErrorCode::kDeadlineExceeded) return "the endpoint did not answer in time";
  if (error.code == ErrorCode::kPayloadTooLarge) return "the endpoint answered with more than is taken";
  return "the endpoint's answer broke off, or was not as HTTP has it";
}

}  // namespace

Error unaddressed(Error error) {
  Error told = error;
  told.message = what_happened(error);
  return caused_by(std::move(told), std::move(error));
}

}  // namespace autoglm::gateway
