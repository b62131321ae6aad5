#pragma once

#include "gateway/front/http/route.h"
#include "gateway/model_directory.h"
#include "inference/prefix_digests.h"

#include <optional>
#include <vector>

namespace autoglm::gateway {

/// /load. With a key it has the sealed digests of the prompts that were read lately; without one, none.
std::vector<Route> load_routes(const LiveDirectory& models, std::optional<PrefixKey> key);

}  // namespace autoglm::gateway
