#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <utility>

namespace autoglm::config {

/// The current value of something configured, and the callbacks to call when it changes. A value is immutable
/// and replaced whole, so a snapshot stays valid and unchanged for as long as it is held. Thread-safe. Must
/// outlive its Readers; its subscriptions may outlive it.
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
  /// Concurrent calls of set() wait for each other, so that each callback sees every value once and in order.
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

  /// Calls `callback` after each change until the returned token is dropped. Dropping the token waits for a
  /// call in progress. A callback must neither drop a token nor call set(): either would deadlock.
  [[nodiscard]] std::shared_ptr<void> subscribe(Callback callback) {
    const std::lock_guard lock(state_->callbacks_mutex);
    const auto position = state_->callbacks.insert(state_->callbacks.end(), std::move(callback));
    return {static_cast<void*>(&*position), [state = state_, position](void*) {
              const std::lock_guard unlink(state->callbacks_mutex);
              state->callbacks.erase(position);
            }};
  }

  /// One thread's view, for the request path: while the value does not change, get() is one atomic load and
  /// takes no lock. Must not outlive its Binding. Not thread-safe.
  class Reader {
   public:
    explicit Reader(const Binding& binding) : state_(*binding.state_) {}

    const Snapshot& get() {
      // The version is read first: if the value changes in between, the next call looks again.
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
