#include "gateway/routing/power_of_two/power_of_two_balancer.h"

namespace autoglm::gateway {

namespace {
// With half of all members out, one draw in two finds one that is eligible: so many draws rarely all miss.
constexpr int kDraws = 8;
}  // namespace

/// An eligible member, each as likely as any other.
std::optional<std::size_t> PowerOfTwoBalancer::draw(Members members, const Eligible& eligible) {
  for (int i = 0; i < kDraws; ++i) {
    const auto drawn = static_cast<std::size_t>(random_.below(members.size()));
    if (eligible(drawn)) return drawn;
  }
  std::vector<std::size_t> left;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (eligible(i)) left.push_back(i);
  }
  if (left.empty()) return std::nullopt;
  return left[static_cast<std::size_t>(random_.below(left.size()))];
}

std::optional<std::size_t> PowerOfTwoBalancer::pick(Members members, const Eligible& eligible,
                                                    const RoutingFacts& facts) {
  if (members.empty()) return std::nullopt;
  const auto first = draw(members, eligible);
  if (!first) return std::nullopt;
  const auto second = draw(members, [&](std::size_t i) { return i != *first && eligible(i); });
  if (!second) return first;
  const auto load = [&](std::size_t i) -> std::uint64_t { return members[i].in_flight() + std::uint64_t{1}; };
  const std::uint64_t left = load(*first) * members[*second].share(facts.now);
  return left <= load(*second) * members[*first].share(facts.now) ? first : second;
}

std::unique_ptr<Balancer> make_power_of_two(std::uint64_t seed) {
  return std::make_unique<PowerOfTwoBalancer>(seed);
}

}  // namespace autoglm::gateway
