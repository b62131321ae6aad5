#pragma once

#include "gateway/routing/least_load/least_load_balancer.h"
#include "inference/prefix_digests.h"

#include <list>
#include <optional>
#include <unordered_map>
#include <utility>

namespace autoglm::gateway {

/// The member that has computed this prompt's beginning: the one that was sent the longest common prefix, or
/// reports to have read it; for a new prompt, the one that a hash of its first block names, so that all loops
/// choose alike. Bounded by load: a member with more than 1.25 times its share of the requests in flight is
/// passed over for the lightest. Mirrokni et al., "Consistent hashing with bounded loads".
class PrefixAffinityBalancer final : public Balancer {
 public:
  /// `key` is the one that members seal their reports with; without it their reports are ignored.
  explicit PrefixAffinityBalancer(std::optional<PrefixKey> key = std::nullopt) : key_(std::move(key)) {}
  std::optional<std::size_t> pick(Members members, const Eligible& eligible,
                                  const RoutingFacts& facts) override;
  bool wants_prefix() const override { return true; }

  static constexpr std::size_t kRemembered = 65'536;  ///< blocks; some 6 MiB

 private:
  struct Known {
    std::size_t slot;
    MemberId member;  // the slot's, when it was picked
    std::list<std::uint64_t>::iterator use;
  };
  std::optional<std::size_t> owner(Members members, const Eligible& eligible,
                                   const RoutingFacts& facts) const;
  std::optional<std::size_t> reader_of(Members members, const Eligible& eligible,
                                       const RoutingFacts& facts) const;
  void remember(std::span<const std::uint64_t> prefix, std::size_t slot, MemberId member);

  std::optional<PrefixKey> key_;
  LeastLoadBalancer lightest_;
  std::unordered_map<std::uint64_t, Known> known_;
  std::list<std::uint64_t> uses_;  // of known_, the latest first
};

BalancerFactory make_prefix_affinity(std::optional<PrefixKey> key = std::nullopt);

}  // namespace autoglm::gateway
