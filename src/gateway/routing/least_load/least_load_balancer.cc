#include "gateway/routing/least_load/least_load_balancer.h"

namespace autoglm::gateway {

std::unique_ptr<Balancer> make_least_load(std::uint64_t /*seed*/) {
  return std::make_unique<LeastLoadBalancer>();
}

}  // namespace autoglm::gateway
