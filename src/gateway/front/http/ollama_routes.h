#pragma once

#include "gateway/front/call/generation_call.h"
#include "gateway/front/http/route.h"
#include "gateway/pipeline.h"

#include <memory>
#include <vector>

namespace autoglm::gateway {

/// Ollama's API, for its clients: /api/chat, /api/generate, /api/embed, the models. What would change the
/// models is answered with how this server does it.
std::vector<Route> ollama_routes(const Pipeline& pipeline,
                                 const std::shared_ptr<const GenerationSettings>& settings);

}  // namespace autoglm::gateway
