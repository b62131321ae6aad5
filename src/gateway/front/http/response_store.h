#pragma once

#include "base/clock.h"
#include "inference/generate_request.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// Counts bytes towards a sum for as long as it lives.
class CountedBytes {
 public:
  CountedBytes(std::shared_ptr<std::atomic<std::size_t>> sum, std::size_t bytes);
  ~CountedBytes();
  CountedBytes(const CountedBytes&) = delete;
  CountedBytes& operator=(const CountedBytes&) = delete;

 private:
  std::shared_ptr<std::atomic<std::size_t>> sum_;
  std::size_t bytes_;
};

/// About how much memory a message takes.
std::size_t message_size(const ChatMessage& message);

/// One step of a conversation: what was asked and what was answered, and the steps before. Steps are shared
/// by all that go on from them. Immutable.
struct ConversationStep {
  std::vector<ChatMessage> messages;
  std::shared_ptr<const ConversationStep> before;  ///< null: it is the first
  std::uint32_t number = 1;
  std::shared_ptr<const CountedBytes> counted = nullptr;
};

/// An answer of /v1/responses that has been kept. Immutable.
struct StoredResponse {
  std::string document;            ///< as the client got it
  std::vector<std::string> items;  ///< of its input
  std::shared_ptr<const ConversationStep> step;
  std::shared_ptr<const CountedBytes> counted = nullptr;
};

/// Answers of /v1/responses in memory, for as long as they may live and as there is room: the oldest go
/// first. One object for all loops; thread-safe. A tenant finds only what is its own.
class ResponseStore {
 public:
  struct Limits {
    std::size_t max_bytes = std::size_t{64} << 20U;
    Duration ttl = std::chrono::hours(24);
  };
  /// Each step is one more call of a destructor when a conversation is let go.
  static constexpr std::uint32_t kMostSteps = 1000;

  explicit ResponseStore(Limits limits) : limits_(limits) {}

  /// Counts what is known of a response while its answer is being made: all of these may take half as much
  /// again as what is kept, and nothing has to go for them, since a request may fail yet. Null: there is no
  /// room, and the response cannot be kept.
  std::shared_ptr<const CountedBytes> hold(const ConversationStep& step,
                                           const std::vector<std::string>& items) const;
  /// Keeps a response in place of an earlier one with the same id. The tenant's own oldest make room for it,
  /// then the oldest of all. One that has no room is not kept.
  void put(std::string_view tenant, std::string_view id, StoredResponse response,
           std::shared_ptr<ConversationStep> step, MonotonicTime now);
  /// Null: there is none, or no more.
  std::shared_ptr<const StoredResponse> find(std::string_view tenant, std::string_view id, MonotonicTime now);
  /// False: there was none.
  bool erase(std::string_view tenant, std::string_view id, MonotonicTime now);

  /// Of all that is kept, of steps that others still go on from, and of what is held.
  std::size_t bytes() const { return bytes_->load() + held_->load(); }
  std::size_t size() const;

 private:
  struct Entry;
  using Entries = std::list<Entry>;
  using OfTenants = std::map<std::pair<std::string, std::uint64_t>, Entries::iterator>;
  struct Entry {
    std::string key;
    MonotonicTime stored;
    std::shared_ptr<const StoredResponse> response;
    OfTenants::iterator of_tenant;
  };

  std::shared_ptr<const CountedBytes> make_room(std::size_t bytes, const std::string& tenant,
                                                MonotonicTime now);
  /// Moves what has expired to `gone`, which is let go when the lock has been released.
  void expire(MonotonicTime now, Entries& gone);
  void take(Entries::iterator entry, Entries& gone);

  const Limits limits_;
  const std::shared_ptr<std::atomic<std::size_t>> bytes_ = std::make_shared<std::atomic<std::size_t>>(0);
  const std::shared_ptr<std::atomic<std::size_t>> held_ = std::make_shared<std::atomic<std::size_t>>(0);
  mutable std::mutex mutex_;
  Entries entries_;  // the oldest first
  std::unordered_map<std::string_view, Entries::iterator> by_key_;
  OfTenants by_tenant_;  // by their order, too: the oldest first
  std::uint64_t stored_ = 0;
};

}  // namespace autoglm::gateway
