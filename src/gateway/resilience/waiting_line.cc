#include "gateway/resilience/waiting_line.h"

#include "runtime/race.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

struct WaitingLine::Waiting {
  EventLoop& loop;
  std::uint64_t number;
  Signal woken = {};  // used on the waiter's loop only
  bool gone = false;  // used on the waiter's loop only
  // Under the line's lock:
  bool must_wait = false;  // until the waiters ahead have decided about their offers
  std::size_t told = 0;    // places offered, each to be taken or passed on
};

WaitingLine::Ticket::~Ticket() {
  if (!waiting_) return;
  waiting_->gone = true;
  const std::lock_guard lock(line_->mutex_);
  std::erase(line_->waiting_, waiting_);
  line_->size_.store(line_->waiting_.size());
  pass_on(waiting_->told);
}

/// The caller holds the lock.
void WaitingLine::Ticket::pass_on(std::size_t places) {
  waiting_->told -= places;
  for (; places > 0; --places) line_->tell_next(waiting_->number);
  line_->let_look();
}

bool WaitingLine::Ticket::must_wait() const {
  const std::lock_guard lock(line_->mutex_);
  return waiting_->must_wait;
}

Task<bool> WaitingLine::Ticket::wait(Deadline deadline) {
  while (true) {
    const auto done = co_await with_deadline(deadline, raised(waiting_->woken), "waiting for a place");
    if (!done) co_return false;
    waiting_->woken.clear();
    // In this order: an offer from here on sets the signal again.
    const std::lock_guard lock(line_->mutex_);
    looked_for_ = waiting_->told;
    waiting_->must_wait = looked_for_ == 0 && line_->tells_before(waiting_->number);
    if (!waiting_->must_wait) co_return true;
  }
}

void WaitingLine::Ticket::took_it() {
  const std::lock_guard lock(line_->mutex_);
  if (waiting_->told == 0) return;
  --waiting_->told;
  line_->telling_.fetch_sub(1);
  line_->let_look();
}

void WaitingLine::Ticket::wait_again() {
  const std::lock_guard lock(line_->mutex_);
  pass_on(std::exchange(looked_for_, 0));
}

Result<WaitingLine::Ticket> WaitingLine::join(std::uint64_t& number) {
  const std::lock_guard lock(mutex_);
  const std::size_t limit = limit_.load();
  // A request that has waited already is not turned away.
  if (number == 0 && waiting_.size() >= limit) {
    return fail(Error{.code = ErrorCode::kUnavailable,
                      .retry = Retry::kElsewhere,
                      .message = fmt::format(
                          "all endpoints are busy, and {} requests wait already; try again shortly", limit),
                      .reason = "queue_full",
                      .retry_after = std::chrono::seconds(1)});
  }
  if (number == 0) number = ++last_number_;
  auto waiting = std::make_shared<Waiting>(EventLoop::current(), number);
  waiting->must_wait = tells_before(number);
  const auto behind =
      std::ranges::find_if(waiting_, [number](const auto& other) { return other->number > number; });
  waiting_.insert(behind, waiting);
  size_.store(waiting_.size());
  // When a place is given back at this moment, either this request sees the place, or the loop that gives it
  // back sees this request.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return Ticket(*this, std::move(waiting));
}

/// The caller holds the lock. Offers a place to the first waiter with a later number and no offer yet; else
/// to the first with a later number, which may have looked already. With no waiter there, the place stays
/// free for the next request.
void WaitingLine::tell_next(std::uint64_t behind) {
  const auto comes_later = [behind](const auto& waiting) { return waiting->number > behind; };
  const auto first = std::ranges::find_if(waiting_, comes_later);
  auto next = std::find_if(first, waiting_.end(), [](const auto& waiting) { return waiting->told == 0; });
  if (next == waiting_.end()) next = first;
  if (next == waiting_.end()) {
    telling_.fetch_sub(1);
    return;
  }
  ++(*next)->told;
  wake(*next);
}

/// The caller holds the lock. Whether a waiter ahead of a number has an open offer.
bool WaitingLine::tells_before(std::uint64_t number) const {
  if (!telling()) return false;
  const auto told = std::ranges::find_if(waiting_, [](const auto& waiting) { return waiting->told > 0; });
  return told != waiting_.end() && (*told)->number < number;
}

/// The caller holds the lock. Wakes the waiters that had to wait for open offers ahead of them, and have none
/// ahead now.
void WaitingLine::let_look() {
  for (const auto& waiting : waiting_) {
    if (waiting->told > 0) return;
    if (std::exchange(waiting->must_wait, false)) wake(waiting);
  }
}

void WaitingLine::wake(const std::shared_ptr<Waiting>& waiting) {
  waiting->loop.post([waiting] {
    if (!waiting->gone) waiting->woken.set();
  });
}

void WaitingLine::wake_one() {
  if (size_.load() == 0) return;
  const std::lock_guard lock(mutex_);
  telling_.fetch_add(1);
  tell_next(0);
}

void WaitingLine::wake_all() {
  if (size_.load() == 0) return;
  const std::lock_guard lock(mutex_);
  for (const auto& waiting : waiting_) wake(waiting);
}

}  // namespace autoglm::gateway
