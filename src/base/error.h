#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm {

/// What went wrong, in the few kinds that callers act on differently. The mapping to HTTP and gRPC status is
/// in gateway/protocol/status.h.
enum class ErrorCode : std::uint8_t {
  kInvalidArgument,    ///< the request is wrong: a field's type, range or combination (400)
  kUnauthenticated,    ///< no key, or an unknown one (401)
  kPermissionDenied,   ///< a known key without the right to do this (403)
  kNotFound,           ///< unknown path, model, file (404)
  kMethodNotAllowed,   ///< the path exists, the method does not (405)
  kRequestTimeout,     ///< the client did not send its request in time (408)
  kPayloadTooLarge,    ///< a body or a header beyond its limit (413, 431)
  kUnsupportedMedia,   ///< a body in an encoding that this server cannot decode (415)
  kUnprocessable,      ///< well-formed, but this model cannot do it (422)
  kResourceExhausted,  ///< a queue or a limit is full: try later (429)
  kCancelled,          ///< the caller went away
  kInternal,           ///< our bug (500)
  kUnimplemented,      ///< a feature that this endpoint does not have (501)
  kBadGateway,         ///< an endpoint answered with garbage or broke off (502)
  kUnavailable,        ///< loading, draining, no endpoint left to ask (503)
  kDeadlineExceeded,   ///< out of time (504)
  kDataLoss,           ///< a file is truncated or corrupt (500)
};

std::string_view to_string(ErrorCode code);

/// The origin of an error: the client's input, this process, or an endpoint behind it. Circuit breakers and
/// ejection count only kEndpoint.
enum class Origin : std::uint8_t { kLocal, kClient, kEndpoint };

/// Whether another attempt makes sense; the dispatcher reads this and never the text.
enum class Retry : std::uint8_t {
  kNever,      ///< every endpoint would fail: a wrong request
  kElsewhere,  ///< another endpoint may well succeed
  kLater,      ///< the same endpoint may succeed after `retry_after`
};

/// The reason of a local error: this process cannot open more sockets.
inline constexpr std::string_view kOutOfSockets = "out_of_sockets";

/// The reason of an endpoint's error when the endpoint does not match its configuration: it lacks the model,
/// rejects our key, or does not speak the API. Asking it again is useless.
inline constexpr std::string_view kEndpointMisconfigured = "endpoint_misconfigured";

/// An endpoint's error response, for clients that are to receive it unchanged.
struct EndpointAnswer {
  int status = 0;    ///< 0: derived from the error's code
  std::string type;  ///< the error object's type; empty: derived from the code
  std::string body;  ///< empty: built from the error
  std::string content_type;
  std::vector<std::pair<std::string, std::string>> headers;
};

/// An error as a value. `message` is for the person who made the request: what is wrong, and what
/// to do. Copyable; immutable by convention once it has been returned.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  Origin origin = Origin::kLocal;
  Retry retry = Retry::kNever;
  std::string message;
  std::string param;   ///< the field that is wrong ("temperature", "messages[2].role"); may be empty
  std::string reason;  ///< a stable word for programs ("model_not_found"); may be empty
  std::optional<std::chrono::seconds> retry_after;
  std::shared_ptr<const Error> cause;
  std::shared_ptr<const EndpointAnswer> said;  ///< the endpoint's own words; null: the error is ours

  /// "code: message (cause: …)", for logs.
  std::string describe() const;
  /// The message for the log, which may name addresses that are not the client's business.
  const std::string& log_message() const { return cause ? cause->log_message() : message; }
};

/// kInvalidArgument, with the name of the field.
Error invalid_field(std::string param, std::string message, std::string reason = "invalid_value");

/// `outer`, the error of a step, with `cause` as its reason.
Error caused_by(Error outer, Error cause);

}  // namespace autoglm
