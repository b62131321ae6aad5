#pragma once

#include "base/clock.h"

#include <boost/intrusive/list_hook.hpp>
#include <boost/intrusive/set_hook.hpp>

#include <coroutine>
#include <functional>
#include <memory>
#include <string>

namespace autoglm {

/// A suspended coroutine that waits to be resumed by its loop. Lives in the awaiting frame; its destruction
/// with the frame unlinks it from the list that holds it. Loop thread only.
struct Waiter : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
  std::coroutine_handle<> handle;
};

class TimerQueue;

/// A pending timer: its `on_expiry` runs on the loop at or shortly after `at`. Destroying it, or
/// `cancel()`, takes it back. Loop thread only.
class Timer {
 public:
  explicit Timer(std::function<void()> on_expiry) : on_expiry_(std::move(on_expiry)) {}

  /// (Re-)arms for `at`, on the current loop.
  void arm(MonotonicTime at);
  /// The same in a queue that is nobody's yet.
  void arm(TimerQueue& queue, MonotonicTime at);
  void cancel() {
    if (near_.is_linked()) near_.unlink();
    if (far_.is_linked()) far_.unlink();
  }
  bool armed() const { return near_.is_linked() || far_.is_linked(); }
  MonotonicTime at() const { return at_; }

 private:
  friend class EventLoop;
  friend class TimerQueue;
  using Unlinked = boost::intrusive::link_mode<boost::intrusive::auto_unlink>;
  using NearHook = boost::intrusive::set_member_hook<Unlinked>;
  using FarHook = boost::intrusive::list_member_hook<Unlinked>;

  // At most one of them is linked.
  NearHook near_;
  FarHook far_;
  MonotonicTime at_;
  std::function<void()> on_expiry_;
};

/// A call on a loop's thread that is posted without memory: what it takes was made before. For results that a
/// caller waits for even when there is no memory left. Posted once.
class Errand : public boost::intrusive::list_base_hook<> {
 public:
  virtual ~Errand() = default;
  virtual void run() = 0;

 private:
  friend class EventLoop;
  std::shared_ptr<Errand> self_;  // while it is posted
};

/// One thread's loop of sockets, timers and coroutines. A worker runs one; a request never leaves the loop it
/// arrived on. Everything but `post`, `stop` and `index` is for the loop's own thread. Must outlive
/// everything created on it. Cancellation is destruction (see Task).
class EventLoop {
 public:
  explicit EventLoop(unsigned index = 0);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  /// Runs until `stop()`.
  void run();
  /// Thread-safe.
  void stop();

  /// Runs `function` on the loop's thread, soon. Thread-safe; one wake-up if the loop sleeps.
  /// Dropped without being called if the loop is destroyed first.
  void post(std::move_only_function<void()> function);
  /// The same for an errand, which the loop shares until then. Never fails.
  void post(std::shared_ptr<Errand> errand) noexcept;

  /// The loop that runs on this thread; asserts that there is one.
  static EventLoop& current();
  /// The loop that runs on this thread, or nullptr.
  static EventLoop* current_or_null();

  unsigned index() const { return index_; }

  /// Resumes `waiter.handle` from the loop, behind all that is ready, unless the waiter is destroyed before.
  void resume_soon(Waiter& waiter);
  /// As resume_soon(), but lets sockets and timers go first.
  void resume_after_others(Waiter& waiter);

  struct Core;
  Core& core() const { return *core_; }  ///< for sources of this room

 private:
  friend class Timer;
  void run_posted();
  /// Takes the first one; it lives as long as the result.
  template <class List>
  static std::shared_ptr<Errand> take_errand(List& errands);
  void drain_ready();
  void poll();
  void fire_timers();

  unsigned index_;
  std::unique_ptr<Core> core_;
};

/// Suspends until `at`, on the current loop.
class [[nodiscard]] SleepUntil {
 public:
  explicit SleepUntil(MonotonicTime at);
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle);
  void await_resume() const noexcept {}

 private:
  MonotonicTime at_;
  Waiter waiter_;
  Timer timer_;
};

inline SleepUntil sleep_until(MonotonicTime at) { return SleepUntil(at); }
inline SleepUntil sleep_for(Duration duration) {
  return SleepUntil(std::chrono::steady_clock::now() + duration);
}
/// Lets everything else that is ready run first.
inline SleepUntil yield_to_loop() { return SleepUntil(MonotonicTime::min()); }

}  // namespace autoglm
