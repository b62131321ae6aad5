#pragma once

#include "base/assert.h"
#include "runtime/frame_memory.h"

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace autoglm {

template <class T>
class Task;

namespace detail {

struct TaskPromiseBase : FrameFromMemory {
  std::coroutine_handle<> continuation = std::noop_coroutine();
  std::exception_ptr exception;

  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
      return self.promise().continuation;
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { exception = std::current_exception(); }
};

template <class T>
struct TaskPromise : TaskPromiseBase {
  std::optional<T> value;

  Task<T> get_return_object() noexcept;
  template <class U = T>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() {
    if (exception) std::rethrow_exception(exception);
    return std::move(*value);
  }
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
  Task<void> get_return_object() noexcept;
  void return_void() const noexcept {}
  void take() const {
    if (exception) std::rethrow_exception(exception);
  }
};

}  // namespace detail

/// A lazy coroutine that belongs to whoever holds the object: it starts when it is awaited, on the
/// awaiter's loop, and **destroying it cancels it**, with everything it awaits, at once and in
/// order (destructors of its locals run; a pending read or timer is taken back). So a Task needs
/// no cancellation token, and cleaning up is done by RAII alone.
///
/// Confined to one event loop. A running coroutine must not destroy itself: wake it through a
/// Signal or a Channel, which resume their waiters from the loop and never from inside a call.
template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::TaskPromise<T>;

  Task() = default;
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      reset();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~Task() { reset(); }

  bool valid() const { return static_cast<bool>(handle_); }

  /// For awaiters that hold a task and something else (a deadline, another task). Runs it up to its first
  /// suspension; whether it has ended already. Once only.
  bool start() {
    handle_.resume();
    return handle_.done();
  }
  /// Who is resumed when a started task ends.
  void when_done(std::coroutine_handle<> continuation) { handle_.promise().continuation = continuation; }
  bool done() const { return handle_ && handle_.done(); }
  T take() { return handle_.promise().take(); }

  auto operator co_await() && noexcept {
    struct Awaiter {
      std::coroutine_handle<promise_type> handle;
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> continuation) const noexcept {
        handle.promise().continuation = continuation;
        return handle;
      }
      T await_resume() const { return handle.promise().take(); }
    };
    AUTOGLM_ASSERT(handle_, "awaiting a Task that was moved from");
    return Awaiter{handle_};
  }

 private:
  friend promise_type;
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}

  void reset() {
    if (handle_) std::exchange(handle_, {}).destroy();
  }

  std::coroutine_handle<promise_type> handle_;
};

namespace detail {

template <class T>
Task<T> TaskPromise<T>::get_return_object() noexcept {
  return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

inline Task<void> TaskPromise<void>::get_return_object() noexcept {
  return Task<void>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

}  // namespace detail
}  // namespace autoglm
