#pragma once

#include "gateway/front/call/generation_call.h"
#include "gateway/front/http/route.h"
#include "gateway/pipeline.h"

#include <memory>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// llama-server's own routes, for editors and its web client: /completion, /infill, /props, /slots. `build`:
/// what it calls itself.
std::vector<Route> llama_routes(const Pipeline& pipeline,
                                const std::shared_ptr<const GenerationSettings>& settings, std::string build);

}  // namespace autoglm::gateway
