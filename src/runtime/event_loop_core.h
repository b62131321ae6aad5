#pragma once

#include "runtime/event_loop.h"
#include "runtime/idle_hook.h"
#include "runtime/timer_queue.h"

#include <boost/intrusive/list.hpp>

#include <atomic>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace autoglm {

/// What an EventLoop is made of. For sources of this room only.
struct EventLoop::Core {
  using Unsized = boost::intrusive::constant_time_size<false>;

  Core();
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  /// Under `mutex`: marks the loop as awake. True if it was asleep; the caller must then `wake` it.
  bool end_sleep() { return std::exchange(sleeping, false); }
  void wake() const;

  int epoll = -1;
  int wake_event = -1;

  boost::intrusive::list<Waiter, Unsized> ready;
  bool yielded = false;  // a waiter lets sockets and timers go first

  TimerQueue timers;
  IdleTurn idle;

  // Touched by other threads.
  std::mutex mutex;
  std::vector<std::move_only_function<void()>> posted;
  boost::intrusive::list<Errand, Unsized> errands;
  std::atomic<bool> has_posted{false};
  std::atomic<bool> stopped{false};
  bool sleeping = false;
};

}  // namespace autoglm
