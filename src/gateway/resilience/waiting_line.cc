#include "gateway/resilience/waiting_line.h"

#include "runtime/race.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

struct WaitingLine::Waiting {
  EventLoop& loop;
  std::uint64_t number;
  Signal woken = {};  // of the loop
  bool gone = false;  // likewise
  // Under the line's lock:
  bool must_wait = false;  // has not looked, since somebody before it was being told
  std::size_t told = 0;    // of so many places, which are to be taken or passed on
};

WaitingLine::Ticket::~Ticket() {
  if (!waiting_) return;
  waiting_->gone = true;
  const std::lock_guard lock(line_->mutex_);
  std::erase(line_->waiting_, waiting_);
  line_->size_.store(line_->waiting_.size());
  for (; waiting_->told > 0; --waiting_->told) line_->tell_next(waiting_->number);
}

bool WaitingLine::Ticket::must_wait() const {
  const std::lock_guard lock(line_->mutex_);
  return waiting_->must_wait;
}

Task<bool> WaitingLine::Ticket::wait(Deadline deadline) {
  auto woken = [](Signal& signal) -> Task<Result<void>> {
    co_await signal.wait();
    co_return Result<void>();
  }(waiting_->woken);
  const auto done = co_await with_deadline(deadline, std::move(woken), "waiting for a place");
  waiting_->woken.clear();
  // In this order: what we are told of from here on sets the signal again.
  const std::lock_guard lock(line_->mutex_);
  looked_for_ = waiting_->told;
  waiting_->must_wait = false;
  co_return done.has_value();
}

void WaitingLine::Ticket::took_it() {
  const std::lock_guard lock(line_->mutex_);
  if (waiting_->told == 0) return;
  --waiting_->told;
  line_->end_telling();
}

void WaitingLine::Ticket::wait_again() {
  const std::lock_guard lock(line_->mutex_);
  for (; looked_for_ > 0; --looked_for_, --waiting_->told) line_->tell_next(waiting_->number);
}

Result<WaitingLine::Ticket> WaitingLine::join(std::uint64_t& number) {
  const std::lock_guard lock(mutex_);
  const std::size_t limit = limit_.load();
  // Who has waited already is not sent away any more.
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
  waiting->must_wait = telling();
  const auto behind =
      std::ranges::find_if(waiting_, [number](const auto& other) { return other->number > number; });
  waiting_.insert(behind, waiting);
  size_.store(waiting_.size());
  // Either we, who look now, see a place that is given back at this moment, or who gives it back sees us.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return Ticket(*this, std::move(waiting));
}

/// Locked. A place goes to the first behind a number who has not been told of another; else to one who has,
/// since that one may have looked already. With nobody there, it stays free for whoever comes.
void WaitingLine::tell_next(std::uint64_t behind) {
  const auto comes_later = [behind](const auto& waiting) { return waiting->number > behind; };
  const auto first = std::ranges::find_if(waiting_, comes_later);
  auto next = std::find_if(first, waiting_.end(), [](const auto& waiting) { return waiting->told == 0; });
  if (next == waiting_.end()) next = first;
  if (next == waiting_.end()) {
    end_telling();
    return;
  }
  ++(*next)->told;
  wake(*next);
}

/// Locked. Nobody is before those any more who have not looked since somebody was.
void WaitingLine::end_telling() {
  if (telling_.fetch_sub(1) > 1) return;
  for (const auto& waiting : waiting_)
    if (std::exchange(waiting->must_wait, false)) wake(waiting);
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
