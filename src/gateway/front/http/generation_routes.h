#pragma once

#include "gateway/front/http/route.h"
#include "gateway/pipeline.h"
#include "http/shared_limits.h"
#include "observe/metrics/registry.h"
#include "runtime/blocking_pool.h"

#include <memory>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// What the routes that generate text share.
struct GenerationSettings {
  observe::Counter& ignored_fields;                           ///< counts unknown members of bodies
  std::shared_ptr<http::BodyMemory> answer_memory = nullptr;  ///< bounds whole answers; null: nothing does
  BlockingPool* pool = nullptr;  ///< reads long bodies; null: the request's loop reads them
  std::string fingerprint = {};  ///< what answers say of the program that made them
};

/// The routes that generate text: each a codec at a path.
std::vector<Route> generation_routes(const Pipeline& pipeline, GenerationSettings settings);

}  // namespace autoglm::gateway
