#include "gateway/front/grpc/services.h"

#include <iterator>

namespace autoglm::gateway::grpc {

std::vector<Route> grpc_routes(const Pipeline& pipeline, const Readiness& readiness,
                               GenerationSettings settings, std::string version) {
  const ServiceParts parts{.pipeline = pipeline,
                           .readiness = readiness,
                           .settings = std::make_shared<const GenerationSettings>(std::move(settings)),
                           .version = std::move(version)};
  std::vector<Method> methods;
  for (const auto& service : {inference_methods, kserve_methods, health_methods, reflection_methods}) {
    auto more = service(parts);
    methods.insert(methods.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  }
  return routes_of(std::move(methods), readiness);
}

}  // namespace autoglm::gateway::grpc
