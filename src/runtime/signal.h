#pragma once

#include "runtime/event_loop.h"

#include <boost/intrusive/list.hpp>

namespace autoglm {

/// A level that coroutines of one loop wait for: `wait()` suspends until `set()` is called. A waiter is
/// resumed from the loop, never inside `set()`. Loop thread only.
class Signal {
 public:
  class [[nodiscard]] Wait {
   public:
    explicit Wait(Signal& signal) : signal_(signal) {}
    bool await_ready() const noexcept { return signal_.set_; }
    void await_suspend(std::coroutine_handle<> handle) {
      waiter_.handle = handle;
      signal_.waiters_.push_back(waiter_);
    }
    void await_resume() const noexcept {}

   private:
    Signal& signal_;
    Waiter waiter_;
  };

  Signal() = default;
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  Wait wait() { return Wait(*this); }
  void set() {
    set_ = true;
    wake_all();
  }
  void clear() { set_ = false; }
  bool is_set() const { return set_; }
  /// Wakes the current waiters and leaves the level unchanged.
  void wake_all() {
    while (!waiters_.empty()) {
      Waiter& waiter = waiters_.front();
      waiters_.pop_front();
      EventLoop::current().resume_soon(waiter);
    }
  }

 private:
  bool set_ = false;
  boost::intrusive::list<Waiter, boost::intrusive::constant_time_size<false>> waiters_;
};

}  // namespace autoglm
