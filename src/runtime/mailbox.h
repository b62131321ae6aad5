#pragma once

#include "base/clock.h"

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

namespace autoglm {

/// A bounded queue from any thread to one thread that may block: it carries event loops' requests to an
/// engine. Thread-safe.
template <class T>
class Mailbox {
 public:
  explicit Mailbox(std::size_t capacity) : capacity_(capacity) {}

  /// False when full or closed; never waits.
  bool try_push(T value) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || items_.size() >= capacity_) return false;
      items_.push_back(std::move(value));
    }
    ready_.notify_one();
    return true;
  }

  /// Appends everything that waits to `out`, without waiting.
  void take_all(std::vector<T>& out) {
    const std::lock_guard lock(mutex_);
    move_into(out);
  }

  /// As take_all(), but waits until there is an item, the mailbox is closed, or `until` passes.
  void wait_and_take_all(std::vector<T>& out, MonotonicTime until = MonotonicTime::max()) {
    std::unique_lock lock(mutex_);
    const auto has_news = [this] { return closed_ || !items_.empty(); };
    if (until == MonotonicTime::max()) {
      ready_.wait(lock, has_news);
    } else {
      ready_.wait_until(lock, until, has_news);
    }
    move_into(out);
  }

  /// Refuses further pushes and wakes the reader.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    ready_.notify_all();
  }
  bool closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
  }

 private:
  void move_into(std::vector<T>& out) {
    for (T& item : items_) out.push_back(std::move(item));
    items_.clear();
  }

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable ready_;
  bool closed_ = false;
  std::vector<T> items_;
};

}  // namespace autoglm
