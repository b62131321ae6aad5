#pragma once

#include "gateway/front/call/generation_call.h"
#include "gateway/front/grpc/method.h"
#include "gateway/front/http/readiness.h"
#include "gateway/pipeline.h"

#include <memory>
#include <string>
#include <vector>

namespace autoglm::gateway::grpc {

/// What the services need; all of it outlives them.
struct ServiceParts {
  const Pipeline& pipeline;
  const Readiness& readiness;
  std::shared_ptr<const GenerationSettings> settings;
  std::string version;  ///< of this program
};

/// One list of methods a service; adding a method is a line in its list.

/// openautoglm.v1.Inference
std::vector<Method> inference_methods(const ServiceParts& parts);
/// inference.GRPCInferenceService, KServe's and Triton's.
std::vector<Method> kserve_methods(const ServiceParts& parts);
/// grpc.health.v1.Health
std::vector<Method> health_methods(const ServiceParts& parts);
/// grpc.reflection, v1 and v1alpha.
std::vector<Method> reflection_methods(const ServiceParts& parts);

/// All of them as routes of the HTTP front.
std::vector<Route> grpc_routes(const Pipeline& pipeline, const Readiness& readiness,
                               GenerationSettings settings, std::string version);

}  // namespace autoglm::gateway::grpc
