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

/// What went wrong, in the few kinds that somebody acts on. The table to HTTP and gRPC status is in
/// gateway/protocol/status.h.
enum class ErrorCode : std::uint8_t {
  kInvalidArgument,    ///< the request is wrong: a field's type, range or combination (400)
  kUnauthenticated,    ///< no key, or an unknown one (401)
  kPermissionDenied,   ///< a known key that may not (403)
  kNotFound,           ///< unknown path, model, file (404)
  kMethodNotAllowed,   ///< the path exists, the method does not (405)
  kRequestTimeout,     ///< the client did not send its request in time (408)
  kPayloadTooLarge,    ///< a body or a header beyond its limit (413, 431)
  kUnsupportedMedia,   ///< a body packed in a way that nobody here unpacks (415)
  kUnprocessable,      ///< well-formed, but cannot be done by this model (422)
  kResourceExhausted,  ///< a queue or a limit is full: try later (429)
  kCancelled,          ///< the caller went away
  kInternal,           ///< our bug (500)
  kUnimplemented,      ///< a feature that this endpoint does not have (501)
  kBadGateway,         ///< an endpoint answered with garbage or broke off (502)
  kUnavailable,        ///< loading, draining, nobody left to ask (503)
  kDeadlineExceeded,   ///< out of time (504)
  kDataLoss,           ///< a file is truncated or corrupt (500)
};

std::string_view to_string(ErrorCode code);

/// Who is to blame: the client's input, this process, or an endpoint behind it. Breakers and
/// ejection count only kEndpoint.
enum class Origin : std::uint8_t { kLocal, kClient, kEndpoint };

/// Whether a further attempt makes sense; the dispatcher reads this and never the text.
enum class Retry : std::uint8_t {
  kNever,      ///< the same everywhere: a wrong request
  kElsewhere,  ///< another endpoint may well succeed
  kLater,      ///< the same endpoint may succeed after `retry_after`
};

/// The reason of an error that is nobody else's: this process can open no more sockets.
inline constexpr std::string_view kOutOfSockets = "out_of_sockets";

/// The reason of an error of an endpoint that is not what the configuration says of it: it does not have the
/// model, does not take our key, or does not speak the API. To ask it again is in vain.
inline constexpr std::string_view kEndpointMisconfigured = "endpoint_misconfigured";

/// What an endpoint answered in the place of an answer, for a client that shall have it as it came.
struct EndpointAnswer {
  int status = 0;    ///< 0: what the error's code says
  std::string type;  ///< of the error object; empty: what the code says
  std::string body;  ///< empty: made of the error
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
  std::shared_ptr<const EndpointAnswer> said;  ///< null: these are nobody else's words

  /// "code: message (cause: …)", for logs.
  std::string describe() const;
  /// What the log says in the place of `message`: with addresses, which are none of the client's business.
  const std::string& log_message() const { return cause ? cause->log_message() : message; }
};

/// kInvalidArgument that names the field.
Error invalid_field(std::string param, std::string message, std::string reason = "invalid_value");

/// `error`, wrapped by the step that failed on it.
Error caused_by(Error outer, Error cause);

}  // namespace autoglm
