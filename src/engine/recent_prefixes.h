#pragma once

#include "base/clock.h"
#include "base/published.h"
#include "inference/prefix_digests.h"

#include <cstddef>
#include <list>
#include <memory>
#include <span>
#include <unordered_map>

namespace autoglm::engine {

/// The beginnings of recently read prompts, for load reports. Written by the engine's thread; any thread may
/// take the snapshot, which is at most `kEvery` old.
class RecentPrefixes {
 public:
  static constexpr std::size_t kKept = 1024;  ///< landmarks; some 100 KiB
  static constexpr Duration kEvery = std::chrono::milliseconds(200);

  void add(std::span<const std::uint64_t> landmarks);
  /// Renews the snapshot if something is new and either the time is due or the engine is `idle`.
  void publish(bool idle, MonotonicTime now);

  std::shared_ptr<const PrefixSet> snapshot() const { return snapshot_.get(); }

 private:
  std::list<std::uint64_t> uses_;  // the latest first
  std::unordered_map<std::uint64_t, std::list<std::uint64_t>::iterator> where_;
  bool changed_ = false;
  MonotonicTime published_;
  Published<PrefixSet> snapshot_;
};

}  // namespace autoglm::engine
