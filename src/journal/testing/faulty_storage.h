#pragma once

#include "journal/storage.h"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <string>

namespace autoglm::journal {

/// The faults that a test asks of a disk, and what was asked of the disk. Thread-safe.
class DiskFaults {
 public:
  static constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

  /// The disk takes so many bytes more; then writes are short, and fail.
  void set_free_bytes(std::uint64_t bytes) { change(free_bytes_, bytes); }
  /// No single write takes more.
  void set_longest_write(std::uint64_t bytes) { change(longest_write_, bytes); }
  void set_sync_fails(bool fails) { change(sync_fails_, fails); }
  void set_read_fails(bool fails) { change(read_fails_, fails); }
  void set_truncate_fails(bool fails) { change(truncate_fails_, fails); }
  /// Writes wait until this is false again.
  void set_stalled(bool stalled) {
    change(stalled_, stalled);
    released_.notify_all();
  }

  std::uint64_t writes() const { return read(writes_); }
  std::uint64_t syncs() const { return read(syncs_); }
  std::uint64_t stalled_writes() const { return read(stalled_writes_); }

  // For FaultyStorage.
  std::size_t allow_write(std::size_t bytes);  ///< how many of them; 0: the disk is full
  bool allow_sync();
  bool allow_truncate() const { return !read(truncate_fails_); }
  bool allow_read() const { return !read(read_fails_); }

 private:
  template <class T>
  void change(T& member, T value) {
    const std::scoped_lock lock(mutex_);
    member = value;
  }
  template <class T>
  T read(const T& member) const {
    const std::scoped_lock lock(mutex_);
    return member;
  }

  mutable std::mutex mutex_;
  std::condition_variable released_;
  std::uint64_t free_bytes_ = kNoLimit, longest_write_ = kNoLimit;
  std::uint64_t writes_ = 0, syncs_ = 0, stalled_writes_ = 0;
  bool sync_fails_ = false, read_fails_ = false, truncate_fails_ = false, stalled_ = false;
};

/// A real storage with a test's faults.
std::unique_ptr<Storage> make_faulty(std::unique_ptr<Storage> storage, std::shared_ptr<DiskFaults> faults);

}  // namespace autoglm::journal
