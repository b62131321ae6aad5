#include "runtime/scope.h"

#include <cstdio>
#include <exception>
#include <utility>

namespace autoglm {

/// The outermost frame of a spawned task: registered while it lives, destroys itself when it ends.
struct Scope::Root {
  struct promise_type : detail::FrameFromMemory {
    promise_type(Scope& owner, const Task<void>& /*task*/) : scope(owner) {
      node.handle = std::coroutine_handle<promise_type>::from_promise(*this);
      scope.nodes_.push_back(node);
      ++scope.size_;
    }
    ~promise_type() {
      if (--scope.size_ == 0) scope.empty_.set();
    }
    promise_type(const promise_type&) = delete;
    promise_type& operator=(const promise_type&) = delete;

    Root get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept {
      try {
        throw;
      } catch (const std::exception& exception) {
        std::fprintf(stderr, "a task ended with an exception: %s\n", exception.what());
      } catch (...) {
        std::fprintf(stderr, "a task ended with an exception\n");
      }
    }

    Scope& scope;
    Node node;
  };
};

Scope::Root Scope::run(Scope& /*scope*/, Task<void> task) { co_await std::move(task); }

void Scope::spawn(Task<void> task) { run(*this, std::move(task)); }

void Scope::cancel() {
  while (!nodes_.empty()) nodes_.front().handle.destroy();
}

Task<void> Scope::join() {
  while (size_ > 0) {
    empty_.clear();
    co_await empty_.wait();
  }
}

}  // namespace autoglm
