#pragma once

#include "gateway/front/http/route.h"
#include "gateway/pipeline.h"
#include "runtime/blocking_pool.h"

#include <string>
#include <vector>

namespace autoglm::gateway {

/// /tokenize, /detokenize, /tokenizer_info, /v1/models, /version. `pool` as in GenerationSettings.
std::vector<Route> model_routes(const Pipeline& pipeline, std::string version, BlockingPool* pool = nullptr);

}  // namespace autoglm::gateway
