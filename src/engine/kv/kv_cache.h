#pragma once

#include "engine/kv/kv_operation.h"
#include "engine/kv/spilled_blocks.h"
#include "inference/request.h"

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace autoglm::engine {

struct KvLimits {
  std::uint32_t cells = 8192;     ///< tokens, of all sequences and of what is kept together
  std::uint32_t sequences = 256;  ///< ids that the backend tells apart
  bool keep_prefixes = true;      ///< off: cells are forgotten when their sequence ends
};

/// Who has which cells of the unified cache: the running sequences, and a radix tree of what they computed,
/// which later requests with the same beginning take over instead of computing it again. Pure bookkeeping:
/// what is to be done to the backend is appended to a list of operations, to be applied in order before the
/// next step. One thread.
///
/// The tree's nodes are blocks of 16 tokens. A leaf owns a sequence id that has the cells of its whole path;
/// inner nodes borrow a descendant's. A running sequence pins its deepest node, and has an id of its own that
/// also has these cells. Unpinned leaves go, least recently used first, when cells or ids run out; they may
/// be spilled, to come back when they are wanted.
class KvCache {
 public:
  static constexpr std::uint32_t kBlock = 16;

  class Node;
  /// A running sequence's place in the cache.
  struct Lease {
    std::int32_t sequence = -1;  ///< the backend's id
    std::uint32_t shared = 0;    ///< its first tokens, which the tree holds
    std::uint32_t computed = 0;  ///< tokens in the cache, shared ones included
    Node* deepest = nullptr;
    bool open() const { return sequence >= 0; }
  };

  explicit KvCache(const KvLimits& limits);
  ~KvCache();
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  /// How many of `tokens` are in the tree, in whole blocks; never all of them, since the last has to be
  /// computed for its logits. `salt` keeps apart what must not be shared (tenants, adapters).
  std::uint32_t match(std::uint64_t salt, std::span<const TokenId> tokens) const;
  /// How many need not be computed: those in the tree, and those behind them that were spilled.
  std::uint32_t known(std::uint64_t salt, std::span<const TokenId> tokens) const;

  /// Begins a sequence with the longest prefix that the tree has. Fails (a closed lease) when all ids are in
  /// use.
  Lease open(std::uint64_t salt, std::span<const TokenId> tokens, KvOperations& operations);
  /// Brings back what was spilled of its beginning, as far as there is room.
  void reload(Lease& lease, std::uint64_t salt, std::span<const TokenId> tokens, KvOperations& operations);
  /// A further sequence that continues from all cells of `parent`; likewise.
  Lease fork(const Lease& parent, KvOperations& operations);
  /// `count` more tokens of it were computed; whole blocks of `tokens` go to the tree, for others to share.
  void advance(Lease& lease, std::uint64_t salt, std::span<const TokenId> tokens, std::uint32_t count,
               KvOperations& operations);
  /// Ends a sequence. What it gave to the tree stays there.
  void close(Lease& lease, KvOperations& operations);

  /// Makes `count` cells free, forgetting what nobody uses; false when running sequences hold too many.
  bool make_room(std::uint32_t count, KvOperations& operations);
  /// Forgets everything that no sequence uses.
  void clear(KvOperations& operations);
  /// From now on up to so many tokens of what is forgotten are kept aside: spilled. At first none.
  void spill(std::uint64_t tokens, KvOperations& operations) { spilled_.limit(tokens, operations); }

  std::uint32_t capacity() const { return limits_.cells; }
  /// Cells of running sequences, shared ones counted once.
  std::uint32_t used_cells() const { return private_cells_ + kBlock * pinned_blocks_; }
  /// Cells that nobody uses but that are kept.
  std::uint32_t kept_cells() const { return kBlock * (blocks_ - pinned_blocks_); }
  std::uint32_t free_cells() const {
    const std::uint32_t taken = private_cells_ + kBlock * blocks_;
    return taken < limits_.cells ? limits_.cells - taken : 0;  // a fork may count a block twice for a moment
  }
  std::uint64_t spilled_tokens() const { return spilled_.tokens(); }
  std::size_t free_sequences() const { return free_ids_.size(); }

 private:
  Node* find_child(const Node& parent, std::uint64_t salt, std::span<const TokenId> block) const;
  Node* deepest_match(std::uint64_t salt, std::span<const TokenId> tokens) const;
  /// The serial numbers of the blocks behind a node's that were spilled.
  std::vector<std::uint64_t> spilled_behind(const Node& node, std::uint64_t salt,
                                            std::span<const TokenId> tokens) const;
  Node* add_child(Node& parent, std::span<const TokenId> block, std::uint64_t salt, std::int32_t from,
                  KvOperations& operations);
  void pin(Node* node);
  void unpin(Node* node);
  void touch(Node* node);
  bool evict_one(KvOperations& operations);
  std::int32_t take_id(KvOperations& operations);

  KvLimits limits_;
  SpilledBlocks spilled_;
  std::unique_ptr<Node> root_;
  std::vector<std::int32_t> free_ids_;
  std::map<std::uint64_t, Node*> evictable_;  // unpinned leaves by last use
  std::uint64_t serials_ = 0;                 // of blocks, so far
  std::uint64_t clock_ = 0;                   // counts uses
  std::uint32_t blocks_ = 0;                  // in the tree
  std::uint32_t pinned_blocks_ = 0;           // of those: on the path of a running sequence
  std::uint32_t private_cells_ = 0;           // of running sequences, not in the tree
};

}  // namespace autoglm::engine
