#pragma once

#include "gateway/admission/keys/key_digest.h"
#include "gateway/admission/usage/usage_day.h"
#include "inference/caller.h"

#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

namespace autoglm::gateway {

/// Callers of tokens that were verified, by the tokens' digests: a signature costs as much as a hundred small
/// requests. Holds `kMost` at a time; the oldest go first. Thread-safe.
class TokenCache {
 public:
  static constexpr std::size_t kMost = 8192;

  /// A verified token's caller, and the time in which it holds.
  struct Entry {
    CallerPtr caller;
    WallTime from;
    WallTime until;
    std::shared_ptr<const void> rules;  ///< by which it was verified; other rules do not find it
  };

  std::optional<Entry> find(const KeyDigest& digest) const {
    Part& part = part_of(digest);
    const std::lock_guard lock(part.mutex);
    const auto found = part.entries.find(digest);
    return found == part.entries.end() ? std::nullopt : std::optional(found->second);
  }
  void put(const KeyDigest& digest, Entry entry) {
    Part& part = part_of(digest);
    const std::lock_guard lock(part.mutex);
    const bool is_new = part.entries.insert_or_assign(digest, std::move(entry)).second;
    if (!is_new) return;
    part.order.push_back(digest);
    if (part.order.size() <= kMost / kParts) return;
    part.entries.erase(part.order.front());
    part.order.pop_front();
  }
  std::size_t size() const {
    std::size_t total = 0;
    for (const Part& part : parts_) {
      const std::lock_guard lock(part.mutex);
      total += part.entries.size();
    }
    return total;
  }

 private:
  static constexpr std::size_t kParts = 16;
  struct alignas(64) Part {
    mutable std::mutex mutex;
    std::unordered_map<KeyDigest, Entry, KeyDigestHash> entries;
    std::deque<KeyDigest> order;
  };
  Part& part_of(const KeyDigest& digest) const { return parts_[digest.back() % kParts]; }

  mutable std::array<Part, kParts> parts_;
};

}  // namespace autoglm::gateway
