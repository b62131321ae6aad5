#pragma once

#include "gateway/routing/round_robin/round_robin_balancer.h"

namespace autoglm::gateway {

/// The least that it says it runs and queues, and what was sent to it since, for its weight; equals take
/// turns.
class LeastLoadBalancer final : public Balancer {
 public:
  std::optional<std::size_t> pick(Members members, const Eligible& eligible,
                                  const RoutingFacts& facts) override;

 private:
  RoundRobinBalancer among_equals_;
};

std::unique_ptr<Balancer> make_least_load(std::uint64_t seed);

}  // namespace autoglm::gateway
