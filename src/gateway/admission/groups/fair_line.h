#pragma once

#include "base/clock.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// A bounded line of requests. Each priority is a class, and in a class the tenants take turns by start-time
/// fair queueing with equal weights: the tenant whose served requests cost the least goes first, and a tenant
/// that comes anew begins where the turns are. Within a tenant and a class, first come first served.
///
/// Of the classes' next requests the one with the highest level goes first. A request's level is its
/// priority, plus one for each `aging` that it has waited, up to 9; classes with equal levels take turns. So
/// every class is served, however many requests of a higher one come. Age lifts a request above other classes
/// and not above other tenants of its own: a tenant that sends far more than its share has the oldest
/// requests.
///
/// A full line takes a request of a higher class by displacing one of the lowest class: the youngest of the
/// tenant that has the most there. It takes a request of the lowest class by the same rule when that tenant
/// has more requests there than the new one's, even after the change. Age protects no request from this.
///
/// Each operation takes a time logarithmic in the requests, `ahead` one linear in the tenants. `now` may step
/// back a little. Pure; not thread-safe.
class FairLine {
 public:
  using Key = std::uint64_t;  ///< the order of arrival, from 1

  static constexpr std::uint8_t kMaxPriority = 9;
  static constexpr std::uint64_t kMostCost = std::uint64_t{1} << 32U;
  /// Tenants of a class that are remembered for what they had, without a request of theirs waiting.
  static constexpr std::size_t kMostIdle = 1024;

  struct Joined {
    std::optional<Key> key;        ///< nothing: the line is full
    std::optional<Key> displaced;  ///< the request that has lost its place; it is out of the line
  };

  FairLine(std::size_t size, Duration aging) : size_(size), aging_(aging) {}
  FairLine(const FairLine&) = delete;
  FairLine& operator=(const FairLine&) = delete;

  /// `cost`: in tokens; at least 1 counts.
  Joined join(std::string_view tenant, std::uint8_t priority, std::uint64_t cost, MonotonicTime now);
  /// Takes the next request out of the line and charges its tenant.
  std::optional<Key> next(MonotonicTime now);
  /// A request leaves without being served. False: it is not here.
  bool leave(Key key);
  /// Returns the requests for which there is no room any more, the least important first.
  std::vector<Key> change(std::size_t size, Duration aging);

  std::size_t waiting() const { return where_.size(); }
  bool empty() const { return where_.empty(); }
  /// About how many requests would be served before a new one, if no more came and all cost the same.
  std::size_t ahead(std::string_view tenant, std::uint8_t priority) const;

 private:
  struct Entry {
    std::uint64_t cost;
    MonotonicTime arrived;
  };
  /// A tenant's requests of one class.
  struct Flow {
    std::string_view tenant;   // the name in its class's map
    std::uint64_t number = 0;  // tells flows of equal virtual time apart
    std::uint64_t served = 0;  // the virtual time at which its next request starts
    std::map<Key, Entry> waiting;
  };
  using Order = std::map<std::pair<std::uint64_t, Key>, Flow*>;
  struct Class {
    std::map<std::string, Flow, std::less<>> flows;
    Order turns;              // those that wait, by virtual time
    Order sizes;              // those that wait, by number of requests; the youngest request last
    Order idle;               // those that do not wait and are ahead of `clock`, by virtual time
    std::uint64_t clock = 0;  // the virtual time at which the latest request started
    std::size_t waiting = 0;
    std::uint64_t turn = 0;  // the number of its latest turn
  };
  struct Where {
    std::uint8_t priority;
    Flow* flow;
  };

  Flow& flow_of(Class& of, std::string_view tenant);
  /// Takes a flow out of its class's orders, before it changes, and puts it back where it belongs then.
  static void unlink(Class& of, const Flow& flow);
  static void link(Class& of, Flow& flow);
  /// Forgets the tenants that have no request and would begin where a new one does.
  static void sweep(Class& of);
  std::uint8_t level(std::uint8_t priority, MonotonicTime now) const;  // of a class that is not empty
  /// The request to displace for a new one, if there is one.
  std::optional<Key> less_important(std::string_view tenant, std::uint8_t priority) const;
  Key least_important() const;
  std::uint8_t lowest() const;  // of the classes that are not empty; the line is not

  std::size_t size_;
  Duration aging_;
  Key last_ = 0;
  std::uint64_t turns_ = 0;
  std::uint64_t flows_ = 0;  // that ever were
  std::array<Class, kMaxPriority + 1> classes_;
  std::unordered_map<Key, Where> where_;
};

}  // namespace autoglm::gateway
