#pragma once

#include "inference/caller.h"
#include "observe/trace/trace_context.h"
#include "runtime/deadline.h"

#include <cstdint>
#include <string>

namespace autoglm {

/// What travels with a call beside the request. Add nothing else: cancellation, for one, is the destruction
/// of the task or stream that carries the call.
struct CallContext {
  Deadline deadline;          ///< for the first token; passed on with each further call
  std::string tenant;         ///< takes turns with others; empty: unknown
  std::uint8_t priority = 0;  ///< 0 … 9, 9 first
  observe::TraceContext span;
  CallerPtr caller = nullptr;  ///< null: no keys are configured
};

}  // namespace autoglm
