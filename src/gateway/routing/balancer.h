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

/// What of a request routing may look at, and when.
struct RoutingFacts {
  std::span<const std::uint64_t>
      prefix;  ///< digests of the prompt's blocks, each of everything up to its end
  MonotonicTime now;
};

using Members = std::span<const Member>;
/// Whether a member may be asked: healthy, enabled, not full, not tried yet.
using Eligible = FunctionRef<bool(std::size_t)>;

/// Says which endpoint to ask. Failover is to ask again without those that were tried. One object a loop, so
/// it needs no locks; pure but for its own memory, and the same picks from the same seed. Picking takes no
/// place: whoever asks the member enters it, and may find that another loop was faster.
class Balancer {
 public:
  virtual ~Balancer() = default;

  /// An index into `members`, always the same list, of one that is eligible now, whatever was known of it a
  /// pick ago: other loops change members at any moment. nullopt when none is, and only then.
  virtual std::optional<std::size_t> pick(Members members, const Eligible& eligible,
                                          const RoutingFacts& facts) = 0;
  /// Whether it reads `RoutingFacts::prefix`, which costs a pass over the prompt.
  virtual bool wants_prefix() const { return false; }
};

/// Makes a policy's object for one loop; `seed` is for those that throw dice.
using BalancerFactory = std::function<std::unique_ptr<Balancer>(std::uint64_t seed)>;

}  // namespace autoglm::gateway
