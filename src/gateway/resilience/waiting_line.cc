#include "gateway/resilience/waiting_line.h"

#include "runtime/race.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

struct WaitingLine::Waiting {
  EventLoop& loop;
  Signal woken;            // of the loop
  bool gone = false;       // likewise
  bool was_woken = false;  // under the line's lock
};

WaitingLine::Ticket::~Ticket() {
  if (!waiting_) return;
  waiting_->gone = true;
  bool pass_on = false;
  {
    const std::lock_guard lock(line_->mutex_);
    std::erase(line_->waiting_, waiting_);
    line_->size_.store(line_->waiting_.size());
    pass_on = waiting_->was_woken && !took_turn_;
  }
  if (pass_on) line_->wake_one();
}

Task<bool> WaitingLine::Ticket::wait(Deadline deadline) {
  auto woken = [](Signal& signal) -> Task<Result<void>> {
    co_await signal.wait();
    co_return Result<void>();
  }(waiting_->woken);
  const auto done = co_await with_deadline(deadline, std::move(woken), "waiting for a place");
  took_turn_ = done.has_value();
  co_return took_turn_;
}

Result<WaitingLine::Ticket> WaitingLine::join(bool again) {
  auto waiting = std::make_shared<Waiting>(EventLoop::current());
  const std::lock_guard lock(mutex_);
  if (waiting_.size() >= limit_) {
    return fail(Error{.code = ErrorCode::kUnavailable,
                      .retry = Retry::kElsewhere,
                      .message = fmt::format(
                          "all endpoints are busy, and {} requests wait already; try again shortly", limit_),
                      .reason = "queue_full",
                      .retry_after = std::chrono::seconds(1)});
  }
  if (again) {
    waiting_.push_front(waiting);
  } else {
    waiting_.push_back(waiting);
  }
  size_.store(waiting_.size());
  return Ticket(*this, std::move(waiting));
}

std::shared_ptr<WaitingLine::Waiting> WaitingLine::take_first() {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty()) return nullptr;
  auto first = std::move(waiting_.front());
  waiting_.pop_front();
  size_.store(waiting_.size());
  first->was_woken = true;
  return first;
}

void WaitingLine::wake_one() {
  if (size_.load() == 0) return;
  if (auto first = take_first()) {
    EventLoop& loop = first->loop;
    loop.post([first = std::move(first)] {
      if (!first->gone) first->woken.set();
    });
  }
}

void WaitingLine::wake_all() {
  for (std::size_t left = size_.load(); left > 0; --left) wake_one();
}

}  // namespace autoglm::gateway
