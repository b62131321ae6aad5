#pragma once

#include "engine/backends/backend.h"

namespace autoglm::extending {

/// A backend without weights, whose answer repeats the last line of the prompt. `facts` are its limits: it
/// computes on one thread, shares prefixes and saves nothing.
engine::Backend make_echo_backend(const engine::StepperFacts& facts);

}  // namespace autoglm::extending
