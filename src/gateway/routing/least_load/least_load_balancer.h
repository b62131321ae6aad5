#pragma once

#include "gateway/routing/lightest.h"

namespace autoglm::gateway {

/// The smallest load for its weight: what the server reports to run and queue, plus what was sent to it
/// since; equals take turns.
class LeastLoadBalancer final : public Balancer {
 public:
  std::optional<std::size_t> pick(Members members, const Eligible& eligible,
                                  const RoutingFacts& facts) override {
    return lightest_.pick(members, eligible, facts);
  }

 private:
  Lightest lightest_{[](const Member& member) -> std::uint64_t { return member.load(); }};
};

std::unique_ptr<Balancer> make_least_load(std::uint64_t seed);

}  // namespace autoglm::gateway
