#pragma once

#include "gateway/routing/least_load/least_load_balancer.h"

#include <list>
#include <unordered_map>

namespace autoglm::gateway {

/// Who has this prompt's beginning: the member that got the longest one like it, or says to have read it; for
/// a new one, the member that a hash of its first block names, so that all loops choose alike. Bounded by
/// load: whoever has more than its share of what is in flight, and a quarter, is passed over for the
/// lightest. Mirrokni et al., "Consistent hashing with bounded loads".
class PrefixAffinityBalancer final : public Balancer {
 public:
  std::optional<std::size_t> pick(Members members, const Eligible& eligible,
                                  const RoutingFacts& facts) override;
  bool wants_prefix() const override { return true; }

  static constexpr std::size_t kRemembered = 65'536;  ///< blocks; some 6 MiB

 private:
  struct Known {
    std::size_t member;
    std::list<std::uint64_t>::iterator use;
  };
  std::optional<std::size_t> owner(Members members, const Eligible& eligible,
                                   const RoutingFacts& facts) const;
  static std::optional<std::size_t> reader_of(Members members, const Eligible& eligible,
                                              const RoutingFacts& facts);
  void remember(std::span<const std::uint64_t> prefix, std::size_t member);

  LeastLoadBalancer lightest_;
  std::unordered_map<std::uint64_t, Known> known_;
  std::list<std::uint64_t> uses_;  // of known_, the latest first
};

std::unique_ptr<Balancer> make_prefix_affinity(std::uint64_t seed);

}  // namespace autoglm::gateway
