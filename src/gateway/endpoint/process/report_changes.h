#pragma once

#include "inference/endpoint.h"
#include "runtime/handover.h"
#include "runtime/task.h"

namespace autoglm::gateway {

/// Reports an engine's changes to the parent process, from within the engine's own. Ends once the parent has
/// been told that the model cannot be loaded; otherwise goes on until it is destroyed. Loop thread only; both
/// arguments must outlive the task.
Task<void> report_changes(const Endpoint& engine, HandoverListener& parent);

}  // namespace autoglm::gateway
