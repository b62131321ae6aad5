#include "gateway/admission/shared/shared_hold.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace autoglm::gateway {

namespace {

// Of a call that fits into the whole limit and into no share: it can only wait for the common count.
constexpr Duration kUntilCommonAgain = std::chrono::seconds(1);

MonotonicTime time_of_share() { return std::chrono::steady_clock::now(); }

}  // namespace

SharedHold::~SharedHold() {
  if (settled_) return;
  for (const Item& item : items_) settle_share(item, 0);
  if (take_) take_->settle(std::vector<std::uint64_t>(items_.size(), 0));
}

void SharedHold::add(std::shared_ptr<const SharedLimit> limit, std::string subject, std::uint64_t amount) {
  RateDecision share = limit->share->take(subject, amount, time_of_share());
  if (share.verdict == Verdict::kNever) {
    share.verdict = Verdict::kLater;
    share.retry_after = kUntilCommonAgain;
  }
  items_.push_back({std::move(limit), std::move(subject), amount, share});
}

Task<bool> SharedHold::decide(SharedLedger& ledger) {
  std::vector<SharedAsk> asks;
  asks.reserve(items_.size());
  for (const Item& item : items_) {
    asks.push_back({.spec = std::shared_ptr<const SharedSpec>(item.limit, &item.limit->spec),
                    .name = "{" + item.subject + "}:" + item.limit->name,
                    .amount = item.amount});
  }
  take_ = ledger.take(std::move(asks));
  by_all_ = co_await take_->answered();
  co_return by_all_;
}

RateDecision SharedHold::decision(std::size_t index) const {
  return by_all_ ? take_->decisions()[index] : items_[index].share;
}

void SharedHold::settle_share(const Item& item, std::uint64_t used) const {
  RateTable& share = *item.limit->share;
  if (item.share.verdict == Verdict::kAdmitted)
    return share.settle(item.subject, item.share.reservation, used, time_of_share());
  // The common count has let more through than the share had: fill it up, and no further, or a replica that
  // alone has all the calls would be in debt for long.
  if (used == 0) return;
  const std::uint64_t room = share.state(item.subject, time_of_share()).remaining;
  share.settle(item.subject, Reservation{}, std::min(used, room), time_of_share());
}

void SharedHold::settle(std::uint64_t tokens) {
  settled_ = true;
  std::vector<std::uint64_t> used;
  used.reserve(items_.size());
  for (const Item& item : items_) {
    used.push_back(item.limit->counts_tokens ? tokens : SharedTake::kAsReserved);
    if (item.limit->counts_tokens) settle_share(item, tokens);
  }
  if (take_) take_->settle(used);
}

}  // namespace autoglm::gateway
