#pragma once

#include "base/strong_id.h"

namespace autoglm::engine {

/// A request of any kind, within its engine.
using GenerationId = StrongId<struct GenerationIdTag>;

}  // namespace autoglm::engine
