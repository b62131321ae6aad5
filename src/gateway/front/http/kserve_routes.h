#pragma once

#include "gateway/front/call/generation_call.h"
#include "gateway/front/http/readiness.h"
#include "gateway/front/http/route.h"
#include "gateway/pipeline.h"

#include <memory>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// KServe's v2 protocol with Triton's extensions: health, metadata, /infer, /generate, /generate_stream.
std::vector<Route> kserve_routes(const Pipeline& pipeline, const Readiness& readiness,
                                 const std::shared_ptr<const GenerationSettings>& settings,
                                 std::string version);

}  // namespace autoglm::gateway
