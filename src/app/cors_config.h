#pragma once

#include "config/descriptor.h"
#include "gateway/front/http/cors.h"

namespace autoglm::app {

/// `server.cors`.
config::Descriptor<gateway::CorsPolicy> describe_cors();

}  // namespace autoglm::app
