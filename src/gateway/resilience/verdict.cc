#include "gateway/resilience/verdict.h"

namespace autoglm::gateway {

Outcome outcome_of(const Error& error) {
  if (error.origin == Origin::kLocal) return Outcome::kAbandoned;
  // A 429 is no failure but a sign of life.
  if (error.origin == Origin::kClient || error.code == ErrorCode::kResourceExhausted)
    return Outcome::kRefused;
  return error.code == ErrorCode::kDeadlineExceeded ? Outcome::kTimeout : Outcome::kFailed;
}

Again again_after(const Error& error) {
  if (error.retry != Retry::kElsewhere) return Again::kNowhere;
  // The endpoint is not there, is set up wrongly, cannot be told the request in its protocol, or has been
  // silent for long already.
  const bool in_vain = error.reason == "connect_failed" || error.reason == kEndpointMisconfigured ||
                       error.code == ErrorCode::kInvalidArgument ||
                       error.code == ErrorCode::kDeadlineExceeded;
  return in_vain ? Again::kElsewhere : Again::kAnywhere;
}

bool is_lost(const Error& error) {
  return error.reason == "connect_failed" || error.reason == "connection_lost" ||
         error.reason == kEndpointMisconfigured;
}

Error too_silent() {
  return {.code = ErrorCode::kDeadlineExceeded,
          .origin = Origin::kEndpoint,
          .retry = Retry::kElsewhere,
          .message = "the endpoint was silent for too long"};
}

}  // namespace autoglm::gateway
