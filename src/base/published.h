#pragma once

#include <memory>
#include <mutex>
#include <utility>

namespace autoglm {

/// The newest of something immutable, for readers of all threads; null before the first. What a reader has
/// stays as it is. (libstdc++'s atomic<shared_ptr> is a lock, too, and up to 13 one that readers leave
/// without ordering.)
template <class T>
class Published {
 public:
  Published() = default;
  explicit Published(std::shared_ptr<const T> value) : value_(std::move(value)) {}

  std::shared_ptr<const T> get() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  void set(std::shared_ptr<const T> value) {
    const std::lock_guard lock(mutex_);
    value_.swap(value);  // the old one is destroyed behind the lock
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> value_;
};

}  // namespace autoglm
