#pragma once

#include "gateway/front/call/generation_call.h"
#include "gateway/front/http/route.h"
#include "gateway/pipeline.h"

#include <memory>
#include <vector>

namespace autoglm::gateway {

/// Anthropic's API: /v1/messages, /v1/messages/count_tokens. The routes give way to models that pass these
/// paths to their servers.
std::vector<Route> anthropic_routes(const Pipeline& pipeline,
                                    std::shared_ptr<const GenerationSettings> settings);

}  // namespace autoglm::gateway
