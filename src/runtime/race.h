#pragma once

#include "base/result.h"
#include "runtime/deadline.h"
#include "runtime/event_loop.h"
#include "runtime/signal.h"
#include "runtime/task.h"

#include <exception>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace autoglm {

/// Awaits two tasks; see `first_of`. Holds both, so that no frame is needed around them.
template <class A, class B>
class [[nodiscard]] FirstOf {
  template <class T>
  using VoidToMonostate = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

 public:
  using Outcome = std::variant<VoidToMonostate<A>, VoidToMonostate<B>>;

  FirstOf(Task<A> a, Task<B> b) : a_(std::move(a)), b_(std::move(b)) {}
  FirstOf(const FirstOf&) = delete;
  FirstOf& operator=(const FirstOf&) = delete;

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle) {
    if (a_.start() || b_.start()) return false;
    a_.when_done(handle);
    b_.when_done(handle);
    return true;
  }
  Outcome await_resume() {
    if (a_.done()) {
      b_ = {};
      return take<0>(a_);
    }
    a_ = {};
    return take<1>(b_);
  }

 private:
  template <std::size_t kIndex, class T>
  static Outcome take(Task<T>& task) {
    if constexpr (std::is_void_v<T>) {
      task.take();
      return Outcome(std::in_place_index<kIndex>);
    } else {
      return Outcome(std::in_place_index<kIndex>, task.take());
    }
  }

  Task<A> a_;
  Task<B> b_;
};

/// Runs both tasks and returns the result of the first to end; the other is cancelled by destruction. If `a`
/// ends without suspending, `b` never starts.
template <class A, class B>
FirstOf<A, B> first_of(Task<A> a, Task<B> b) {
  return FirstOf<A, B>(std::move(a), std::move(b));
}

/// Awaits a task until a deadline; see `with_deadline`. An exception of the task becomes an error, kInternal.
/// The timer is armed only for a task that suspends: most reads and writes never do.
template <class T>
class [[nodiscard]] WithDeadline {
 public:
  WithDeadline(Deadline deadline, Task<Result<T>> task, const char* what)
      : deadline_(deadline), what_(what), task_(std::move(task)), timer_([this] { expire(); }) {}
  WithDeadline(const WithDeadline&) = delete;
  WithDeadline& operator=(const WithDeadline&) = delete;

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle) {
    if (task_.start()) return false;
    task_.when_done(handle);
    waiter_.handle = handle;
    if (!deadline_.is_never()) timer_.arm(deadline_.at());
    return true;
  }
  Result<T> await_resume() {
    timer_.cancel();
    if (!task_.valid()) return fail(ErrorCode::kDeadlineExceeded, std::string(what_) + " took too long");
    try {
      return task_.take();
    } catch (const std::exception& exception) {  // the caller goes on when its task throws
      return fail(ErrorCode::kInternal, std::string(what_) + " failed: " + exception.what());
    }
  }

 private:
  void expire() {
    task_ = {};
    EventLoop::current().resume_soon(waiter_);
  }

  Deadline deadline_;
  const char* what_;
  Task<Result<T>> task_;
  Waiter waiter_;
  Timer timer_;
};

/// The result of `task`, or kDeadlineExceeded (with `what` in its message) when `deadline` passes first.
template <class T>
WithDeadline<T> with_deadline(Deadline deadline, Task<Result<T>> task, const char* what) {
  return WithDeadline<T>(deadline, std::move(task), what);
}

/// Ends when `signal` is set, which must outlive the task. A wait for `with_deadline` and `first_of`.
inline Task<Result<void>> raised(Signal& signal) {
  co_await signal.wait();
  co_return Result<void>();
}

}  // namespace autoglm
