#pragma once

#include "base/result.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm::http {

/// A process's memory budget for all bodies of one kind: those of requests, or those of answers. Thread-safe.
class BodyMemory {
 public:
  explicit BodyMemory(std::size_t limit) : limit_(limit) {}

  /// One body's share; released on destruction. Up to `free` bytes are not counted: where a connection has
  /// one request at a time, the number of connections bounds them.
  class Share {
   public:
    static constexpr std::size_t kFree = std::size_t{64} << 10U;

    Share() = default;
    explicit Share(BodyMemory* memory, std::size_t free = kFree) : memory_(memory), free_(free) {}
    Share(Share&& from) noexcept
        : memory_(from.memory_), free_(from.free_), held_(std::exchange(from.held_, 0)) {}
    Share& operator=(Share&& from) noexcept {
      std::swap(memory_, from.memory_);
      std::swap(free_, from.free_);
      std::swap(held_, from.held_);
      return *this;
    }
    ~Share() {
      if (held_ > 0) memory_->used_.fetch_sub(held_, std::memory_order_relaxed);
    }

    /// Whether the body may hold `bytes` in total; if so, they are counted.
    bool cover(std::size_t bytes);
    /// The same for a body that may have become smaller: what it holds no more is given back.
    bool fit(std::size_t bytes);

   private:
    BodyMemory* memory_ = nullptr;  // null: unlimited
    std::size_t free_ = kFree;
    std::size_t held_ = 0;
  };

  std::size_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  std::size_t limit_;
  std::atomic<std::size_t> used_{0};
};

/// The error for a request whose answer does not fit into the memory for answers.
Error no_answer_memory();

/// How many connections each client has, over all servers of a process. Thread-safe.
class ConnectionCounts {
 public:
  /// `limit` connections per address; 0: unlimited.
  explicit ConnectionCounts(std::uint32_t limit) : limit_(limit) {}

  /// A connection's place in the count.
  class Place {
   public:
    Place(ConnectionCounts* counts, std::string_view peer);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    /// False: the client already had `limit` connections.
    bool granted() const { return granted_; }

   private:
    ConnectionCounts* counts_;
    std::string client_;
    bool granted_ = true;
  };

  std::uint32_t limit() const { return limit_; }
  std::size_t clients() const;

 private:
  std::uint32_t limit_;
  mutable std::mutex mutex_;
  std::map<std::string, std::uint32_t, std::less<>> connections_;
};

/// The client that a connection counts for: the address of `peer` ("address:port", "[address]:port"); for
/// IPv6 its /64, which belongs to one subscriber.
std::string client_of(std::string_view peer);

}  // namespace autoglm::http
