#include "runtime/gate.h"

#include "runtime/event_loop.h"
#include "runtime/race.h"
#include "runtime/signal.h"

#include <utility>

namespace autoglm {

struct Gate::Waiting {
  EventLoop& loop;
  Signal woken = {};  // loop thread only
  bool gone = false;  // loop thread only
};

/// A place among the waiters, for as long as the object lives.
class Gate::Place {
 public:
  Place(Gate& gate, std::shared_ptr<Waiting> waiting) : gate_(gate), waiting_(std::move(waiting)) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    waiting_->gone = true;
    const std::lock_guard lock(gate_.mutex_);
    std::erase(gate_.waiting_, waiting_);
  }

 private:
  Gate& gate_;
  std::shared_ptr<Waiting> waiting_;
};

void Gate::open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  // Under the lock: a waiter cannot leave before its loop has been posted to.
  for (auto& waiting : std::exchange(waiting_, {})) {
    EventLoop& loop = waiting->loop;
    loop.post([waiting = std::move(waiting)] {
      if (!waiting->gone) waiting->woken.set();
    });
  }
}

void Gate::shut() {
  const std::lock_guard lock(mutex_);
  open_ = false;
}

Task<bool> Gate::wait(Deadline deadline) {
  auto waiting = std::make_shared<Waiting>(EventLoop::current());
  {
    const std::lock_guard lock(mutex_);
    if (open_) co_return true;
    waiting_.push_back(waiting);
  }
  const Place place(*this, waiting);
  const auto done = co_await with_deadline(deadline, raised(waiting->woken), "waiting");
  co_return done.has_value();
}

std::size_t Gate::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

}  // namespace autoglm
