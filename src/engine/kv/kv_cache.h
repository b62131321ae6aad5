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
  std::uint32_t cells = 8192;       ///< tokens of all sequences and kept prefixes together
  std::uint32_t sequences = 256;    ///< ids that the stepper can tell apart
  bool keep_prefixes = true;        ///< off: cells are forgotten when their sequence ends
  std::uint32_t restore_slack = 0;  ///< StepperFacts::restore_slack
};

/// Tracks the owners of the unified cache's cells: the running sequences, and a radix tree of what they
/// computed, which later requests with the same beginning reuse instead of computing it again. Pure
/// bookkeeping: changes to the stepper's cells are appended to a list of operations, to be applied in order
/// before the next step. One thread.
///
/// The tree's nodes are blocks of 16 tokens. A leaf owns a sequence id that holds the cells of its whole
/// path; inner nodes borrow a descendant's. A running sequence pins its deepest node, and has its own id,
/// which also holds these cells. Unpinned leaves are evicted, least recently used first, when cells or ids
/// run out; they may be spilled, to be reloaded when they are wanted.
class KvCache {
 public:
  static constexpr std::uint32_t kBlock = 16;

  class Node;
  /// A running sequence's place in the cache.
  struct Lease {
    std::int32_t sequence = -1;  ///< the stepper's id
    std::uint32_t shared = 0;    ///< its first tokens, which the tree holds
    std::uint32_t computed = 0;  ///< tokens in the cache, shared ones included
    Node* deepest = nullptr;
    bool open() const { return sequence >= 0; }
  };

  explicit KvCache(const KvLimits& limits);
  ~KvCache();
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  /// How many of `tokens` are in the tree, in whole blocks; never all of them, since the last one has to be
  /// computed for its logits. `salt` separates prefixes that must not be shared (tenants, adapters).
  std::uint32_t match(std::uint64_t salt, std::span<const TokenId> tokens) const;
  /// How many tokens need not be computed: those in the tree, and the spilled ones that follow them.
  std::uint32_t known(std::uint64_t salt, std::span<const TokenId> tokens) const;

  /// Begins a sequence with the longest prefix that the tree has. Returns a closed lease when all ids are in
  /// use.
  Lease open(std::uint64_t salt, std::span<const TokenId> tokens, KvOperations& operations);
  /// Reloads the spilled blocks of the sequence's beginning, as far as there is room.
  void reload(Lease& lease, std::uint64_t salt, std::span<const TokenId> tokens, KvOperations& operations);
  /// Begins another sequence that continues from all cells of `parent`. Returns a closed lease when all ids
  /// are in use.
  Lease fork(const Lease& parent, KvOperations& operations);
  /// Records that `count` more tokens were computed; whole blocks of `tokens` go to the tree, to be shared.
  void advance(Lease& lease, std::uint64_t salt, std::span<const TokenId> tokens, std::uint32_t count,
               KvOperations& operations);
  /// Ends a sequence. The blocks that it gave to the tree stay there.
  void close(Lease& lease, KvOperations& operations);

  /// Frees `count` cells by forgetting unused ones; false when running sequences hold too many.
  bool make_room(std::uint32_t count, KvOperations& operations);
  /// Forgets all cells that no sequence uses.
  void clear(KvOperations& operations);
  /// From now on up to `tokens` evicted tokens are kept outside the cache ("spilled"). At first none.
  void spill(std::uint64_t tokens, KvOperations& operations) { spilled_.limit(tokens, operations); }

  std::uint32_t capacity() const { return limits_.cells; }
  /// Cells of running sequences, shared ones counted once.
  std::uint32_t used_cells() const { return private_cells_ + kBlock * pinned_blocks_; }
  /// Cells of prefixes that no sequence uses.
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
  /// The serial numbers of the spilled blocks that follow a node's.
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
  std::uint64_t serials_ = 0;                 // blocks so far
  std::uint64_t clock_ = 0;                   // counts uses
  std::uint32_t blocks_ = 0;                  // blocks in the tree
  std::uint32_t pinned_blocks_ = 0;           // of those, on the path of a running sequence
  std::uint32_t private_cells_ = 0;           // of running sequences, not in the tree
};

}  // namespace autoglm::engine
