#pragma once

#include "base/random.h"
#include "gateway/routing/balancer.h"

namespace autoglm::gateway {

/// The lighter, for its weight, of two that are drawn at random: nearly as even as asking all, at a cost that
/// does not grow with their number. Mitzenmacher, "The power of two choices in randomized load balancing".
class PowerOfTwoBalancer final : public Balancer {
 public:
  explicit PowerOfTwoBalancer(std::uint64_t seed) : random_(seed) {}
  std::optional<std::size_t> pick(Members members, const Eligible& eligible,
                                  const RoutingFacts& facts) override;

 private:
  std::optional<std::size_t> draw(Members members, const Eligible& eligible);

  Random random_;
};

std::unique_ptr<Balancer> make_power_of_two(std::uint64_t seed);

}  // namespace autoglm::gateway
