#include "gateway/routing/prefix_affinity/prefix_affinity_balancer.h"

#include "base/random.h"

#include <ranges>

namespace autoglm::gateway {

namespace {

/// Whether one more request would leave `member` within 1.25 times its share of all requests in flight.
bool has_room(Members members, const Eligible& eligible, std::size_t member, MonotonicTime now) {
  std::uint64_t requests = 1;
  std::uint64_t shares = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (!eligible(i)) continue;
    requests += members[i].in_flight();
    shares += members[i].share(now);
  }
  const std::uint64_t own = members[member].in_flight() + std::uint64_t{1};
  // own <= ceil(1.25 * requests * share / shares)
  return (own - 1) * 4 * shares < requests * 5 * members[member].share(now);
}

}  // namespace

/// The member that reports to have read the longest beginning of the prompt, sent by other gateways or before
/// this process started.
std::optional<std::size_t> PrefixAffinityBalancer::reader_of(Members members, const Eligible& eligible,
                                                             const RoutingFacts& facts) const {
  if (!key_) return std::nullopt;
  std::vector<std::uint64_t> landmarks = prefix_landmarks(facts.prefix);
  for (std::uint64_t& landmark : landmarks) landmark = key_->seal(landmark);
  std::optional<std::size_t> best;
  std::size_t longest = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i].endpoint == nullptr) continue;
    const auto read = members[i].endpoint->prefixes();
    if (!read || !eligible(i)) continue;
    for (std::size_t blocks = landmarks.size(); blocks > longest; --blocks) {
      if (!read->contains(landmarks[blocks - 1])) continue;
      best = i;
      longest = blocks;
    }
  }
  return best;
}

std::optional<std::size_t> PrefixAffinityBalancer::owner(Members members, const Eligible& eligible,
                                                         const RoutingFacts& facts) const {
  for (const std::uint64_t digest : std::views::reverse(facts.prefix)) {
    const auto found = known_.find(digest);
    if (found == known_.end()) continue;
    const auto& [slot, member, use] = found->second;
    if (slot < members.size() && members[slot].id == member && eligible(slot)) return slot;
  }
  if (const auto reader = reader_of(members, eligible, facts)) return reader;
  // Rendezvous hashing: the member with the highest draw for this beginning.
  std::optional<std::size_t> best;
  double highest = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (!eligible(i)) continue;
    const double draw = uniform_draw(facts.prefix.front(), i);
    if (best && draw <= highest) continue;
    best = i;
    highest = draw;
  }
  return best;
}

void PrefixAffinityBalancer::remember(std::span<const std::uint64_t> prefix, std::size_t slot,
                                      MemberId member) {
  for (const std::uint64_t digest : prefix) {
    const auto [entry, added] = known_.try_emplace(digest);
    if (added) {
      entry->second.use = uses_.insert(uses_.begin(), digest);
    } else {
      uses_.splice(uses_.begin(), uses_, entry->second.use);
    }
    entry->second.slot = slot;
    entry->second.member = member;
  }
  while (uses_.size() > kRemembered) {
    known_.erase(uses_.back());
    uses_.pop_back();
  }
}

std::optional<std::size_t> PrefixAffinityBalancer::pick(Members members, const Eligible& eligible,
                                                        const RoutingFacts& facts) {
  if (facts.prefix.empty()) return lightest_.pick(members, eligible, facts);  // too short
  std::optional<std::size_t> chosen = owner(members, eligible, facts);
  if (!chosen) return std::nullopt;
  if (!has_room(members, eligible, *chosen, facts.now)) chosen = lightest_.pick(members, eligible, facts);
  remember(facts.prefix, *chosen, members[*chosen].id);
  return chosen;
}

BalancerFactory make_prefix_affinity(std::optional<PrefixKey> key) {
  return [key = std::move(key)](std::uint64_t /*seed*/) {
    return std::make_unique<PrefixAffinityBalancer>(key);
  };
}

}  // namespace autoglm::gateway
