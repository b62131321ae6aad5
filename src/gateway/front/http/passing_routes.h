#pragma once

#include "gateway/front/http/route.h"
#include "gateway/pipeline.h"
#include "runtime/blocking_pool.h"

#include <vector>

namespace autoglm::gateway {

/// Unknown paths below /v1/, for models whose endpoints take them. Must come after all other routes. `pool`
/// as in GenerationSettings.
std::vector<Route> passing_routes(const Pipeline& pipeline, BlockingPool* pool = nullptr);

}  // namespace autoglm::gateway
