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
  bool told = false;  // of a place, which is to be taken or passed on; under the line's lock
};

WaitingLine::Ticket::~Ticket() {
  if (!waiting_) return;
  waiting_->gone = true;
  const std::lock_guard lock(line_->mutex_);
  std::erase(line_->waiting_, waiting_);
  line_->size_.store(line_->waiting_.size());
  if (waiting_->told) line_->tell_next(waiting_->number);
}

Task<bool> WaitingLine::Ticket::wait(Deadline deadline) {
  auto woken = [](Signal& signal) -> Task<Result<void>> {
    co_await signal.wait();
    co_return Result<void>();
  }(waiting_->woken);
  const auto done = co_await with_deadline(deadline, std::move(woken), "waiting for a place");
  waiting_->woken.clear();
  co_return done.has_value();
}

void WaitingLine::Ticket::took_it() {
  const std::lock_guard lock(line_->mutex_);
  if (std::exchange(waiting_->told, false)) line_->telling_.fetch_sub(1);
}

void WaitingLine::Ticket::wait_again() {
  const std::lock_guard lock(line_->mutex_);
  if (std::exchange(waiting_->told, false)) line_->tell_next(waiting_->number);
  line_->enter(waiting_);
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
  enter(waiting);
  return Ticket(*this, std::move(waiting), telling());
}

/// Locked.
void WaitingLine::enter(std::shared_ptr<Waiting> waiting) {
  if (std::ranges::find(waiting_, waiting) != waiting_.end()) return;
  const auto behind = std::ranges::find_if(
      waiting_, [&waiting](const auto& other) { return other->number > waiting->number; });
  waiting_.insert(behind, std::move(waiting));
  size_.store(waiting_.size());
}

/// Locked. A place goes to the first of those whose number is higher than `behind`; if there are none, it
/// stays free for whoever comes.
void WaitingLine::tell_next(std::uint64_t behind) {
  const auto next =
      std::ranges::find_if(waiting_, [behind](const auto& waiting) { return waiting->number > behind; });
  if (next == waiting_.end()) {
    telling_.fetch_sub(1);
    return;
  }
  auto waiting = std::move(*next);
  waiting_.erase(next);
  size_.store(waiting_.size());
  waiting->told = true;
  wake(std::move(waiting));
}

void WaitingLine::wake(std::shared_ptr<Waiting> waiting) {
  EventLoop& loop = waiting->loop;
  loop.post([waiting = std::move(waiting)] {
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
  size_.store(0);
  for (auto& waiting : std::exchange(waiting_, {})) wake(std::move(waiting));
}

}  // namespace autoglm::gateway
