#pragma once

#include "base/error.h"

#include <cstdint>

namespace autoglm::gateway {

/// How an attempt at an endpoint ended: each in exactly one of these ways.
enum class Outcome : std::uint8_t {
  kOk,
  kFailed,
  kTimeout,
  kRefused,    ///< it refused the client's request, or answered 429: a sign of life
  kAbandoned,  ///< unknown: the client left first, or this process could not even ask
};
constexpr std::size_t kOutcomes = 5;

/// Whether it counts against the endpoint.
constexpr bool is_failure(Outcome outcome) {
  return outcome == Outcome::kFailed || outcome == Outcome::kTimeout;
}

/// The outcome of an attempt that ended with `error`.
Outcome outcome_of(const Error& error);

/// Where a request may be sent once more after an attempt of it has ended with an error.
enum class Again : std::uint8_t {
  kNowhere,    ///< the request is to blame, or this process
  kElsewhere,  ///< the same endpoint would only do the same again
  kAnywhere,   ///< the same endpoint may do better a little later
};

/// The one place that decides this; docs/gateway.md says it in words. A generation has no effects but its
/// answer, so even one that a server had begun may be sent again. But it costs work, and it may be what kills
/// the servers: so each sending is one of `retry.max_attempts`, and no layer below sends a request again.
Again again_after(const Error& error);

/// Whether no server can have worked on it for long: an attempt that replaces it does not multiply the load.
bool is_lost(const Error& error);

/// The endpoint has said nothing for as long as it may.
Error too_silent();

}  // namespace autoglm::gateway
