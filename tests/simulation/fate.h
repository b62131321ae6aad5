#pragma once

#include "base/random.h"
#include "upstream.h"

#include <cstdint>

namespace autoglm::simulation {

/// How a server treats one request.
enum class Fate : std::uint8_t {
  kAnswers,
  kAnswersSlowly,
  kSilent,
  kFallsSilent,
  kBreaksOff,
  kResets,
  kGarbage,
  kErrorEvent,
  kResetsUnread,  // without a byte
  kEndsUnread,
  kStatus500,
  kStatus503,
  kStatus429,
  kMisconfigured,  // lacks this model, this path or our key
  kStatus400,
  kSaysMore,  // sends the answer twice
  kCloses,    // closes after the answer
};

/// The fate of a request at a server in that mood.
Fate fate(Random& random, Mood mood);

}  // namespace autoglm::simulation
