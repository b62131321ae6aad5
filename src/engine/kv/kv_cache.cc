#include "engine/kv/kv_cache.h"

#include "base/assert.h"

#include <algorithm>
#include <utility>

namespace autoglm::engine {

class KvCache::Node {
 public:
  Node* parent = nullptr;
  std::uint64_t serial = 0;
  std::uint64_t salt = 0;
  std::uint64_t hash = 0;
  std::vector<TokenId> tokens;
  std::unordered_multimap<std::uint64_t, std::unique_ptr<Node>> children;
  std::uint32_t depth = 0;         // blocks from the root to here, this one included
  std::int32_t id = -1;            // the sequence id of a leaf in the stepper
  std::uint32_t pins = 0;          // running sequences whose deepest node this is
  std::uint32_t pinned_below = 0;  // children whose path a running sequence has pinned
  std::uint64_t last_used = 0;

  bool is_root() const { return parent == nullptr; }
  bool leaf() const { return children.empty(); }
  bool in_use() const { return pins > 0 || pinned_below > 0; }
  /// An id that holds the cells of the path to here: that of any leaf below.
  std::int32_t holder() const {
    const Node* node = this;
    while (!node->leaf()) node = node->children.begin()->second.get();
    return node->id;
  }
};

KvCache::KvCache(const KvLimits& limits) : limits_(limits), root_(std::make_unique<Node>()) {
  AUTOGLM_ASSERT(limits.sequences > 0 && limits.cells > 0, "a cache holds something");
  for (auto id = static_cast<std::int32_t>(limits.sequences) - 1; id >= 0; --id) free_ids_.push_back(id);
}

KvCache::~KvCache() {
  // Iterative: a chain of thousands of blocks would recurse as deep.
  std::vector<std::unique_ptr<Node>> doomed;
  doomed.push_back(std::move(root_));
  while (!doomed.empty()) {
    const std::unique_ptr<Node> node = std::move(doomed.back());
    doomed.pop_back();
    for (auto& [hash, child] : node->children) doomed.push_back(std::move(child));
    node->children.clear();
  }
}

KvCache::Node* KvCache::find_child(const Node& parent, std::uint64_t salt,
                                   std::span<const TokenId> block) const {
  const BlockKey key{.parent = parent.serial, .salt = salt, .tokens = block};
  const auto [begin, end] = parent.children.equal_range(key.hash());
  for (auto it = begin; it != end; ++it) {
    if (it->second->salt == salt && std::ranges::equal(it->second->tokens, block)) return it->second.get();
  }
  return nullptr;
}

KvCache::Node* KvCache::deepest_match(std::uint64_t salt, std::span<const TokenId> tokens) const {
  Node* node = root_.get();
  for (std::size_t end = kBlock; end < tokens.size(); end += kBlock) {
    Node* child = find_child(*node, salt, tokens.subspan(end - kBlock, kBlock));
    if (child == nullptr) break;
    node = child;
  }
  return node;
}

std::uint32_t KvCache::match(std::uint64_t salt, std::span<const TokenId> tokens) const {
  return deepest_match(salt, tokens)->depth * kBlock;
}

void KvCache::touch(Node* node) {
  // The path too: a block must not look older than the deeper blocks that need it.
  for (; !node->is_root(); node = node->parent) {
    if (node->leaf() && !node->in_use()) {
      evictable_.erase(node->last_used);
      evictable_.emplace(clock_ + 1, node);
    }
    node->last_used = ++clock_;
  }
}

void KvCache::pin(Node* node) {
  bool was_in_use = node->in_use();
  ++node->pins;
  while (!was_in_use && !node->is_root()) {
    ++pinned_blocks_;
    if (node->leaf()) evictable_.erase(node->last_used);
    node = node->parent;
    was_in_use = node->in_use();
    ++node->pinned_below;
  }
}

void KvCache::unpin(Node* node) {
  --node->pins;
  while (!node->in_use() && !node->is_root()) {
    --pinned_blocks_;
    if (node->leaf()) evictable_.emplace(node->last_used, node);
    node = node->parent;
    --node->pinned_below;
  }
}

bool KvCache::evict_one(KvOperations& operations) {
  if (evictable_.empty()) return false;
  Node* victim = evictable_.begin()->second;
  evictable_.erase(evictable_.begin());
  Node* parent = victim->parent;
  spilled_.put({.parent = parent->serial, .salt = victim->salt, .tokens = victim->tokens}, victim->serial,
               victim->id, parent->depth * kBlock, operations);
  const bool last_child = parent->children.size() == 1;
  if (last_child && !parent->is_root()) {
    parent->id = victim->id;
    operations.push_back({.from = victim->id, .begin = parent->depth * kBlock});
    if (!parent->in_use()) evictable_.emplace(parent->last_used, parent);
  } else {
    operations.push_back({.from = victim->id});
    free_ids_.push_back(victim->id);
  }
  const auto [begin, end] = parent->children.equal_range(victim->hash);
  parent->children.erase(
      std::find_if(begin, end, [victim](const auto& entry) { return entry.second.get() == victim; }));
  --blocks_;
  return true;
}

std::int32_t KvCache::take_id(KvOperations& operations) {
  // Evicting one block of a long leaf frees no id; continuing does, until nothing is left to evict.
  while (free_ids_.empty() && evict_one(operations)) {
  }
  if (free_ids_.empty()) return -1;
  const std::int32_t id = free_ids_.back();
  free_ids_.pop_back();
  return id;
}

bool KvCache::make_room(std::uint32_t count, KvOperations& operations) {
  while (free_cells() < count) {
    if (!evict_one(operations)) return false;
  }
  return true;
}

void KvCache::clear(KvOperations& operations) {
  while (evict_one(operations)) {
  }
  spilled_.clear(operations);
}

KvCache::Lease KvCache::open(std::uint64_t salt, std::span<const TokenId> tokens, KvOperations& operations) {
  Node* node = deepest_match(salt, tokens);
  pin(node);
  touch(node);
  const std::int32_t id = take_id(operations);
  if (id < 0) {
    unpin(node);
    return {};
  }
  Lease lease{
      .sequence = id, .shared = node->depth * kBlock, .computed = node->depth * kBlock, .deepest = node};
  if (lease.shared > 0) {
    operations.push_back({.kind = KvOperation::Kind::kShare,
                          .from = node->holder(),
                          .to = id,
                          .begin = 0,
                          .end = lease.shared});
  }
  return lease;
}

std::vector<std::uint64_t> KvCache::spilled_behind(const Node& node, std::uint64_t salt,
                                                   std::span<const TokenId> tokens) const {
  std::vector<std::uint64_t> serials;
  std::uint64_t parent = node.serial;
  for (std::size_t begin = std::size_t{node.depth} * kBlock; begin + kBlock < tokens.size();
       begin += kBlock) {
    const auto serial = spilled_.find({parent, salt, tokens.subspan(begin, kBlock)});
    if (!serial) break;
    serials.push_back(parent = *serial);
  }
  return serials;
}

std::uint32_t KvCache::known(std::uint64_t salt, std::span<const TokenId> tokens) const {
  const Node* node = deepest_match(salt, tokens);
  return kBlock * (node->depth + static_cast<std::uint32_t>(spilled_behind(*node, salt, tokens).size()));
}

void KvCache::reload(Lease& lease, std::uint64_t salt, std::span<const TokenId> tokens,
                     KvOperations& operations) {
  const std::vector<std::uint64_t> serials = spilled_behind(*lease.deepest, salt, tokens);
  // First, before make_room() spills other blocks, which could push these out.
  for (const std::uint64_t serial : serials) spilled_.take(serial);
  bool room = true;
  for (const std::uint64_t serial : serials) {
    const std::uint64_t state = SpilledBlocks::state_of(serial);
    room = room && make_room(kBlock + limits_.restore_slack, operations);
    if (room) {
      operations.push_back({.kind = KvOperation::Kind::kRestore,
                            .to = lease.sequence,
                            .begin = lease.computed,
                            .end = lease.computed + kBlock,
                            .state = state});
      advance(lease, salt, tokens, kBlock, operations);
      // The spilled blocks after this one are found by its serial number.
      if (lease.shared == lease.computed) lease.deepest->serial = serial;
    }
    operations.push_back({.kind = KvOperation::Kind::kDrop, .state = state});
  }
}

KvCache::Lease KvCache::fork(const Lease& parent, KvOperations& operations) {
  const std::int32_t id = take_id(operations);
  if (id < 0) return {};
  pin(parent.deepest);
  operations.push_back({.kind = KvOperation::Kind::kShare,
                        .from = parent.sequence,
                        .to = id,
                        .begin = 0,
                        .end = parent.computed});
  // The rest of the parent's last block is shared, too; counting it twice errs on the safe side.
  private_cells_ += parent.computed - parent.shared;
  Lease child = parent;
  child.sequence = id;
  return child;
}

KvCache::Node* KvCache::add_child(Node& parent, std::span<const TokenId> block, std::uint64_t salt,
                                  std::int32_t from, KvOperations& operations) {
  const std::uint32_t end = (parent.depth + 1) * kBlock;
  std::int32_t fresh = -1;
  if (parent.is_root() || !parent.leaf()) {
    fresh = take_id(operations);
    if (fresh < 0) return nullptr;
  }
  KvOperation share{.kind = KvOperation::Kind::kShare, .from = from, .to = fresh, .begin = 0, .end = end};
  // A leaf is extended in place; take_id() may just have made the parent a leaf.
  if (!parent.is_root() && parent.leaf()) {
    if (fresh >= 0) free_ids_.push_back(fresh);
    share.to = std::exchange(parent.id, -1);
    share.begin = end - kBlock;
  }
  operations.push_back(share);
  auto node = std::make_unique<Node>();
  node->parent = &parent;
  const BlockKey key{.parent = parent.serial, .salt = salt, .tokens = block};
  node->serial = spilled_.find(key).value_or(serials_ + 1);
  serials_ = std::max(serials_, node->serial);
  node->salt = salt;
  node->hash = key.hash();
  node->tokens.assign(block.begin(), block.end());
  node->depth = parent.depth + 1;
  node->id = share.to;
  node->last_used = ++clock_;
  Node* added = node.get();
  parent.children.emplace(added->hash, std::move(node));
  ++blocks_;
  evictable_.emplace(added->last_used, added);
  return added;
}

void KvCache::advance(Lease& lease, std::uint64_t salt, std::span<const TokenId> tokens, std::uint32_t count,
                      KvOperations& operations) {
  lease.computed += count;
  private_cells_ += count;
  if (!limits_.keep_prefixes) return;
  while (lease.shared + kBlock <= lease.computed) {
    const auto block = tokens.subspan(lease.shared, kBlock);
    Node* child = find_child(*lease.deepest, salt, block);
    if (child != nullptr) {
      // Another sequence computed the same block meanwhile: one copy is enough.
      const std::uint32_t end = lease.shared + kBlock;
      operations.push_back({.from = lease.sequence, .begin = lease.shared, .end = end});
      operations.push_back({.kind = KvOperation::Kind::kShare,
                            .from = child->holder(),
                            .to = lease.sequence,
                            .begin = lease.shared,
                            .end = end});
    } else {
      child = add_child(*lease.deepest, block, salt, lease.sequence, operations);
      if (child == nullptr) return;  // no id is left; the block stays private
    }
    pin(child);
    unpin(lease.deepest);
    lease.deepest = child;
    lease.shared += kBlock;
    private_cells_ -= kBlock;
  }
}

void KvCache::close(Lease& lease, KvOperations& operations) {
  if (!lease.open()) return;
  private_cells_ -= lease.computed - lease.shared;
  operations.push_back({.from = lease.sequence});
  free_ids_.push_back(lease.sequence);
  touch(lease.deepest);
  unpin(lease.deepest);
  lease = {};
}

}  // namespace autoglm::engine
