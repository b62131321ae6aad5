#pragma once

#include "base/random.h"
#include "upstream.h"

#include <cstdint>

namespace autoglm::simulation {

/// What becomes of one request.
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
  kMisconfigured,  // has not this model, this path, our key
  kStatus400,
  kSaysMore,  // the answer, and once more
  kCloses,    // behind the answer
};

/// Of a request that comes to a server in that mood.
Fate fate(Random& random, Mood mood);

}  // namespace autoglm::simulation
