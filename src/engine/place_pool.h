#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

namespace autoglm::engine {

/// For whom something is taken.
struct PlaceOwner {
  std::string group = {};  ///< the caller's; empty: none
  double share = 0;        ///< of the engine, that the group owns; 0 … 1
};

/// What requests that have not ended hold of an engine: places among those that run and wait, and memory for
/// what is prepared. A group with a share gets its share of both even while others hold all, so that these
/// cannot keep it from the scheduler; so at most twice as much is held. Thread-safe: each call holds a mutex
/// for a look-up.
class PlacePool {
 public:
  PlacePool(std::uint32_t places, std::size_t bytes) : most_{places, bytes} {}

  /// False: there are not as many left.
  bool take_places(const PlaceOwner& owner, std::uint32_t count);
  bool take_bytes(const PlaceOwner& owner, std::size_t bytes);
  /// `group`: whose they were.
  void give_back(const std::string& group, std::uint32_t places, std::size_t bytes);

  std::uint32_t places() const { return places_.load(std::memory_order_relaxed); }  ///< held
  std::size_t bytes() const;

 private:
  struct Held {
    std::uint32_t places = 0;
    std::size_t bytes = 0;
  };
  template <class Count>
  bool take(const PlaceOwner& owner, Count Held::* what, Count count);

  const Held most_;
  mutable std::mutex mutex_;
  Held all_;
  std::unordered_map<std::string, Held> groups_;  // those that hold something
  std::atomic<std::uint32_t> places_{0};
};

}  // namespace autoglm::engine
