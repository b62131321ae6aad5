#pragma once

#include "base/error.h"

#include <cstdint>

namespace autoglm::gateway {

/// How an attempt at an endpoint ended: each in exactly one of these ways.
enum class Outcome : std::uint8_t {
  kOk,
  kFailed,
  kTimeout,
  kRefused,    ///< it told the client, or everybody to come later: a sign of life
  kAbandoned,  ///< nobody knows: the client left first, or this process could not even ask
};
constexpr std::size_t kOutcomes = 5;

/// Whether it counts against the endpoint.
constexpr bool is_failure(Outcome outcome) {
  return outcome == Outcome::kFailed || outcome == Outcome::kTimeout;
}

/// What an attempt that ended with `error` has come to.
Outcome outcome_of(const Error& error);

/// Where a request may be sent once more after an attempt of it has ended with an error.
enum class Again : std::uint8_t {
  kNowhere,    ///< the request is to blame, or this process
  kElsewhere,  ///< the same endpoint would only do the same again
  kAnywhere,   ///< the same endpoint may do better a little later
};

/// The one place that decides it; docs/gateway.md says it in words. A generation has no effects but its
/// answer, so even one that was begun may be sent again. What it costs, and that it may be what kills whoever
/// computes it, is why each sending is an attempt of `retry.max_attempts`: nobody below sends it once more.
Again again_after(const Error& error);

/// Whether nobody can have worked on it for long: what takes its place multiplies nothing.
bool is_lost(const Error& error);

/// The endpoint has said nothing for as long as it may.
Error too_silent();

}  // namespace autoglm::gateway
