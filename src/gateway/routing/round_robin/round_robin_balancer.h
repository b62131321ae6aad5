#pragma once

#include "gateway/routing/balancer.h"

#include <cstdint>

namespace autoglm::gateway {

/// nginx's smooth weighted round robin: weights 5, 1, 1 give a a b a c a a. Source:
/// ngx_http_upstream_round_robin.
class RoundRobinBalancer final : public Balancer {
 public:
  std::optional<std::size_t> pick(Members members, const Eligible& eligible,
                                  const RoutingFacts& facts) override;

 private:
  std::vector<std::int64_t> current_;  // what each has saved up
};

std::unique_ptr<Balancer> make_round_robin(std::uint64_t seed);

}  // namespace autoglm::gateway
