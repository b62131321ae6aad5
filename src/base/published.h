#pragma once

#include <memory>
#include <mutex>
#include <utility>

namespace autoglm {

/// The newest version of an immutable value, for readers on all threads; null before the first. A version
/// that a reader holds stays unchanged. (libstdc++'s atomic<shared_ptr> locks too, and up to version 13 its
/// readers release that lock without ordering.)
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
    value_.swap(value);  // the old value is destroyed outside the lock
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> value_;
};

}  // namespace autoglm
