#pragma once

#include "base/clock.h"
#include "base/function_ref.h"
#include "cluster/membership/endpoint_spec.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::cluster {

/// One registry's list, and which part of a change to believe. New members count at once, and so does the
/// leaving of a few. When the list has become so much shorter within `hold` that the registry is more likely
/// to be ill than right, those who leave are held: each goes when it has been missing for `hold` and our own
/// checks find it unwell, too; or when it has been missing for `hold` and the list is long again. Pure; not
/// thread-safe.
class MemberGuard {
 public:
  using Spec = std::shared_ptr<const EndpointSpec>;
  struct Options {
    /// A list that is shorter by more than this share of the longest one within `hold` is not believed. 100:
    /// all are.
    std::uint32_t max_shrink_percent = 50;
    Duration hold = std::chrono::seconds(30);
  };

  explicit MemberGuard(const Options& options) : options_(options) {}

  /// The registry's present list; of two specs with one URL the first counts. Returns whether the members
  /// have changed.
  bool offer(const std::vector<Spec>& listed, MonotonicTime now);
  /// Lets go of those that are due. `is_well`: our own checks find it well.
  bool release(MonotonicTime now, FunctionRef<bool(const EndpointSpec&)> is_well);
  /// When `release` may have something to do; nothing while none is held.
  std::optional<MonotonicTime> release_at() const;

  /// Those of the list in its order, then those that are held.
  const std::vector<Spec>& members() const { return members_; }
  /// Of the members, those that the registry no longer lists.
  std::size_t held() const { return held_.size(); }
  bool is_held(const std::string& url) const { return held_.contains(url); }

 private:
  /// Whether the list is too short to be believed.
  bool is_ill() const {
    return listed_ < longest_ &&
           (longest_ - listed_) * 100 > std::size_t{options_.max_shrink_percent} * longest_;
  }

  Options options_;
  std::vector<Spec> members_;
  std::map<std::string, MonotonicTime> held_;  // by URL: missing since
  MonotonicTime looked_;
  std::size_t listed_ = 0;   // in the last list
  std::size_t longest_ = 0;  // list within `hold`; while the registry is ill, of before
  // Lengths of the lists within `hold`, without those that a later one exceeds.
  std::deque<std::pair<MonotonicTime, std::size_t>> lengths_;
};

}  // namespace autoglm::cluster
