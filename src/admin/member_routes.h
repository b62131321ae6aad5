#pragma once

#include "cluster/discovery/discovery.h"
#include "cluster/registration/registrations.h"
#include "gateway/front/http/route.h"
#include "gateway/resilience/model_pool.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::admin {

/// A pool, and what finds its servers; null: they are configured.
struct FoundPool {
  std::shared_ptr<gateway::ModelPool> pool;
  std::shared_ptr<const cluster::Discovery> discovery;
};

/// GET /members: each server of each pool, where it is from, and why it is or is not asked; and each
/// registry, and how it is; and each registry that we are entered into, and how that is.
std::vector<gateway::Route> member_routes(
    std::function<std::vector<FoundPool>()> pools,
    std::function<std::vector<cluster::Registrations::View>()> registrations);

}  // namespace autoglm::admin
