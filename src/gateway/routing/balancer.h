#pragma once

#include "base/function_ref.h"
#include "gateway/routing/member.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace autoglm::gateway {

/// What a policy may know of a request, and the time.
struct RoutingFacts {
  std::span<const std::uint64_t>
      prefix;  ///< digests of the prompt's blocks, each of everything up to its end
  MonotonicTime now;
};

using Members = std::span<const Member>;
/// Whether a member may be asked: healthy, enabled, not full, not tried yet.
using Eligible = FunctionRef<bool(std::size_t)>;

/// Says which endpoint to ask; failover is another pick without the members that were tried. One object a
/// loop, so it needs no locks; the same seed and calls give the same picks. Picking takes no place: the
/// caller enters the member afterwards, and may find that another loop was faster.
class Balancer {
 public:
  virtual ~Balancer() = default;

  /// The slot of a member that is eligible now, whatever an earlier pick saw: other loops change members at
  /// any moment. `members` may differ from call to call in a few slots, and in length: what stays keeps its
  /// slot and its id. An empty slot is never eligible. nullopt when no member is eligible, and only then.
  virtual std::optional<std::size_t> pick(Members members, const Eligible& eligible,
                                          const RoutingFacts& facts) = 0;
  /// Whether it reads `RoutingFacts::prefix`, which costs a pass over the prompt.
  virtual bool wants_prefix() const { return false; }
};

/// Makes a policy's object for one loop; `seed` is for policies that choose at random.
using BalancerFactory = std::function<std::unique_ptr<Balancer>(std::uint64_t seed)>;

}  // namespace autoglm::gateway
