#pragma once

#include "gateway/front/call/generation_call.h"
#include "gateway/front/http/response_store.h"
#include "gateway/front/http/route.h"
#include "gateway/pipeline.h"

#include <memory>
#include <vector>

namespace autoglm::gateway {

/// OpenAI's Responses: /v1/responses and, with a store, what has been kept below it. `store` may be null. The
/// routes give way to models that pass these paths to their servers.
std::vector<Route> responses_routes(const Pipeline& pipeline, GenerationSettings settings,
                                    std::shared_ptr<ResponseStore> store);

}  // namespace autoglm::gateway
