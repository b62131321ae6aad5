#include "engine/kv/spilled_blocks.h"

#include <algorithm>

namespace autoglm::engine {

std::uint64_t BlockKey::hash() const {  // FNV-1a
  std::uint64_t hash = 14695981039346656037ULL ^ salt;
  hash = (hash ^ parent) * 1099511628211ULL;
  for (const TokenId token : tokens) hash = (hash ^ static_cast<std::uint32_t>(token)) * 1099511628211ULL;
  return hash ^ (hash >> 29);
}

/// Distinct from the states of preempted sequences, which the scheduler numbers from 1.
std::uint64_t SpilledBlocks::state_of(std::uint64_t serial) { return (std::uint64_t{1} << 63) | serial; }

void SpilledBlocks::limit(std::uint64_t tokens, KvOperations& operations) {
  most_ = tokens;
  shrink(tokens, operations);
}

void SpilledBlocks::erase(Blocks::iterator block) {
  tokens_ -= block->tokens.size();
  by_serial_.erase(block->serial);
  const auto [begin, end] = by_hash_.equal_range(block->hash);
  by_hash_.erase(std::find_if(begin, end, [block](const auto& entry) { return entry.second == block; }));
  blocks_.erase(block);
}

void SpilledBlocks::shrink(std::uint64_t tokens, KvOperations& operations) {
  while (tokens_ > tokens) {
    operations.push_back({.kind = KvOperation::Kind::kDrop, .state = state_of(blocks_.front().serial)});
    erase(blocks_.begin());
  }
}

void SpilledBlocks::put(const BlockKey& key, std::uint64_t serial, std::int32_t from, std::uint32_t begin,
                        KvOperations& operations) {
  const auto size = static_cast<std::uint32_t>(key.tokens.size());
  if (const auto known = by_serial_.find(serial); known != by_serial_.end()) {
    blocks_.splice(blocks_.end(), blocks_, known->second);
    return;
  }
  if (size > most_) return;
  shrink(most_ - size, operations);
  const auto block = blocks_.insert(blocks_.end(), {.parent = key.parent,
                                                    .salt = key.salt,
                                                    .tokens = {key.tokens.begin(), key.tokens.end()},
                                                    .serial = serial,
                                                    .hash = key.hash()});
  by_serial_.emplace(serial, block);
  by_hash_.emplace(block->hash, block);
  tokens_ += size;
  operations.push_back({.kind = KvOperation::Kind::kSave,
                        .from = from,
                        .begin = begin,
                        .end = begin + size,
                        .state = state_of(serial)});
}

std::optional<std::uint64_t> SpilledBlocks::find(const BlockKey& key) const {
  const auto [begin, end] = by_hash_.equal_range(key.hash());
  for (auto it = begin; it != end; ++it) {
    const Block& block = *it->second;
    if (block.parent == key.parent && block.salt == key.salt && std::ranges::equal(block.tokens, key.tokens))
      return block.serial;
  }
  return std::nullopt;
}

}  // namespace autoglm::engine
