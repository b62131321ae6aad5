#pragma once

#include "gateway/admission/rate/rate_table.h"
#include "gateway/admission/shared/shared_ledger.h"
#include "runtime/task.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// A limit that replicas count together, with what this replica lets through of it by itself.
struct SharedLimit {
  RateSpec whole;
  SharedSpec spec;
  std::string name;                  ///< of the limit, the same on all replicas
  std::shared_ptr<RateTable> share;  ///< has share_of(whole)
  bool counts_tokens = false;
};

/// What a call holds of its shared limits. It always takes from this replica's shares, too, so that these are
/// as used up as this replica has used the common count: when that is lost, the replica does not begin anew.
/// And what it was let through by a share alone is charged to the common count, if that can be reached again.
/// Belongs to the call's loop; settled when it is destroyed, as unused.
class SharedHold {
 public:
  SharedHold() = default;
  SharedHold(SharedHold&&) = delete;
  ~SharedHold();

  /// Before `decide`. `amount` is at most what the whole limit lets through at once.
  void add(std::shared_ptr<const SharedLimit> limit, std::string subject, std::uint64_t amount);
  std::size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }

  /// Asks the common count. False: it did not answer, and the shares decide.
  Task<bool> decide(SharedLedger& ledger);
  /// Of the limit that was added as number `index`.
  RateDecision decision(std::size_t index) const;
  bool counts_tokens(std::size_t index) const { return items_[index].limit->counts_tokens; }

  /// The call has used so many tokens. It keeps the requests that it has taken.
  void settle(std::uint64_t tokens);

 private:
  struct Item {
    std::shared_ptr<const SharedLimit> limit;
    std::string subject;
    std::uint64_t amount;
    RateDecision share;
  };
  void settle_share(const Item& item, std::uint64_t used) const;

  std::vector<Item> items_;
  std::shared_ptr<SharedTake> take_;
  bool by_all_ = false;  ///< the common count has decided
  bool settled_ = false;
};

}  // namespace autoglm::gateway
