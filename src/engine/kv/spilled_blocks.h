#pragma once

#include "engine/kv/kv_operation.h"
#include "inference/request.h"

#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace autoglm::engine {

/// The identity of a prefix block: its tokens and the block before it. Each block has its own serial number;
/// the parent of a first block is 0.
struct BlockKey {
  std::uint64_t parent = 0;
  std::uint64_t salt = 0;
  std::span<const TokenId> tokens;

  /// Equality is checked as well, so that a collision only costs time.
  std::uint64_t hash() const;
};

/// Blocks that the cache had no room for, as states in memory. When there are too many, the least recently
/// used are dropped. One thread.
class SpilledBlocks {
 public:
  /// Keeps at most `tokens` from now on; at first none.
  void limit(std::uint64_t tokens, KvOperations& operations);

  /// Saves a block, whose tokens `from` holds from position `begin` on, unless it is saved already.
  void put(const BlockKey& key, std::uint64_t serial, std::int32_t from, std::uint32_t begin,
           KvOperations& operations);
  /// The block's serial number, if it is saved.
  std::optional<std::uint64_t> find(const BlockKey& key) const;
  /// Hands a block over: the caller restores and drops its state.
  void take(std::uint64_t serial) { erase(by_serial_.at(serial)); }
  static std::uint64_t state_of(std::uint64_t serial);
  void clear(KvOperations& operations) { shrink(0, operations); }

  std::uint64_t tokens() const { return tokens_; }

 private:
  struct Block {
    std::uint64_t parent;
    std::uint64_t salt;
    std::vector<TokenId> tokens;
    std::uint64_t serial;
    std::uint64_t hash;
  };
  using Blocks = std::list<Block>;

  void erase(Blocks::iterator block);
  void shrink(std::uint64_t tokens, KvOperations& operations);

  std::uint64_t most_ = 0;
  std::uint64_t tokens_ = 0;
  Blocks blocks_;  // the oldest first
  std::unordered_map<std::uint64_t, Blocks::iterator> by_serial_;
  std::unordered_multimap<std::uint64_t, Blocks::iterator> by_hash_;
};

}  // namespace autoglm::engine
