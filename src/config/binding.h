#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <utility>

namespace autoglm::config {

/// The current value of something configured, and who wants to know when it changes. A value is
/// immutable and replaced whole: whoever has taken a snapshot keeps it unchanged as long as it wants.
/// Thread-safe. Outlived by nothing that reads it; its subscriptions may outlive it.
template <class T>
class Binding {
  struct State;

 public:
  using Snapshot = std::shared_ptr<const T>;
  using Callback = std::function<void(const Snapshot& before, const Snapshot& after)>;

  explicit Binding(T initial) : state_(std::make_shared<State>()) {
    state_->value = std::make_shared<const T>(std::move(initial));
  }

  Snapshot get() const {
    const std::lock_guard lock(state_->mutex);
    return state_->value;
  }

  /// Replaces the value, then calls the callbacks in the order of their subscription, on this thread.
  /// Calls of set() wait for each other, so that callbacks see every value once and in order.
  void set(T value) {
    const std::lock_guard in_turn(state_->callbacks_mutex);
    auto after = std::make_shared<const T>(std::move(value));
    Snapshot before;
    {
      const std::lock_guard lock(state_->mutex);
      before = std::exchange(state_->value, after);
      state_->version.fetch_add(1, std::memory_order_release);
    }
    for (const Callback& callback : state_->callbacks) callback(before, after);
  }

  /// Calls `callback` after each change until the returned token is dropped; when that returns, no call
  /// is under way. A callback neither drops tokens nor calls set(): it would wait for itself.
  [[nodiscard]] std::shared_ptr<void> subscribe(Callback callback) {
    const std::lock_guard lock(state_->callbacks_mutex);
    const auto position = state_->callbacks.insert(state_->callbacks.end(), std::move(callback));
    return {static_cast<void*>(&*position), [state = state_, position](void*) {
              const std::lock_guard unlink(state->callbacks_mutex);
              state->callbacks.erase(position);
            }};
  }

  /// One thread's view, for the path of a request: while nothing changes, get() is one atomic load,
  /// and takes no lock. Must not outlive its Binding. Not thread-safe.
  class Reader {
   public:
    explicit Reader(const Binding& binding) : state_(*binding.state_) {}

    const Snapshot& get() {
      // The version is read first: should the value change in between, the next call looks again.
      if (const auto version = state_.version.load(std::memory_order_acquire); version != seen_ || !cached_) {
        const std::lock_guard lock(state_.mutex);
        cached_ = state_.value;
        seen_ = version;
      }
      return cached_;
    }

   private:
    State& state_;
    std::uint64_t seen_ = 0;
    Snapshot cached_;
  };

 private:
  struct State {
    std::mutex mutex;
    Snapshot value;
    std::atomic<std::uint64_t> version{0};
    std::mutex callbacks_mutex;
    std::list<Callback> callbacks;
  };

  std::shared_ptr<State> state_;
};

}  // namespace autoglm::config
