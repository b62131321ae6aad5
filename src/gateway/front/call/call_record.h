#pragma once

#include "base/clock.h"
#include "inference/caller.h"
#include "inference/events.h"
#include "observe/trace/trace_context.h"

#include <cstdint>
#include <string>

namespace autoglm::gateway {

/// The facts of a call as they become known, for the access log and the metrics. Belongs to the call's loop.
struct CallRecord {
  std::string id;  ///< of the request
  observe::TraceContext span;
  CallerPtr caller;           ///< null: no keys are configured, or this path needs none
  std::uint8_t priority = 0;  ///< that the caller has asked for
  int status = 0;             ///< as HTTP has it; 0: never answered, the client went away
  bool complete = false;      ///< the answer reached its end
  std::string model;
  std::string endpoint;  ///< of a pool: the endpoint that answered
  std::uint32_t attempts = 0;
  std::string error;  ///< what the client was told
  Usage usage;
  Duration first_token{0};
};

}  // namespace autoglm::gateway
