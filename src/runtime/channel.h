#pragma once

#include "base/assert.h"
#include "runtime/signal.h"
#include "runtime/task.h"

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace autoglm {

/// A bounded queue between coroutines of one loop. Loop thread only.
template <class T>
class Channel {
 public:
  explicit Channel(std::size_t capacity) : capacity_(capacity) {
    AUTOGLM_ASSERT(capacity > 0, "a channel needs room");
  }

  /// False when full or closed.
  bool try_push(T value) {
    if (closed_ || items_.size() >= capacity_) return false;
    items_.push_back(std::move(value));
    readable_.set();
    return true;
  }

  /// Waits for space; false when closed.
  Task<bool> push(T value) {
    while (!closed_ && items_.size() >= capacity_) {
      writable_.clear();
      co_await writable_.wait();
    }
    co_return try_push(std::move(value));
  }

  /// Waits for the next item; nothing once closed and empty.
  Task<std::optional<T>> pop() {
    while (items_.empty() && !closed_) {
      readable_.clear();
      co_await readable_.wait();
    }
    if (items_.empty()) co_return std::nullopt;
    T value = std::move(items_.front());
    items_.pop_front();
    writable_.set();
    co_return std::optional<T>(std::move(value));
  }

  /// Items already pushed are still delivered.
  void close() {
    closed_ = true;
    readable_.set();
    writable_.set();
  }

  std::size_t size() const { return items_.size(); }
  bool closed() const { return closed_; }

 private:
  std::size_t capacity_;
  bool closed_ = false;
  std::deque<T> items_;
  Signal readable_;
  Signal writable_;
};

}  // namespace autoglm
