#include "gateway/routing/least_connections/least_connections_balancer.h"

namespace autoglm::gateway {

std::unique_ptr<Balancer> make_least_connections(std::uint64_t /*seed*/) {
  return std::make_unique<LeastConnectionsBalancer>();
}

}  // namespace autoglm::gateway
