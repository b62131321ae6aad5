#include "engine/kv/kv_cache.h"

#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bitset>
#include <map>
#include <optional>
#include <string>

namespace autoglm::engine {
namespace {

constexpr std::uint32_t kBlock = KvCache::kBlock;

/// Does to cells what a backend's unified cache does.
class Cells {
 public:
  void apply(KvOperations& operations) {
    for (const KvOperation& operation : operations) {
      if (operation.kind == KvOperation::Kind::kDrop) {
        ASSERT_EQ(states_.erase(operation.state), 1U) << "what is dropped has been saved";
        continue;
      }
      if (operation.kind == KvOperation::Kind::kRestore) {
        for (const Cell& saved : states_.at(operation.state))
          compute(operation.to, saved.position, saved.token);
        continue;
      }
      if (operation.kind == KvOperation::Kind::kSave)
        ASSERT_TRUE(states_.emplace(operation.state, std::vector<Cell>()).second) << "saved twice";
      for (Cell& cell : cells_) {
        const bool meant = cell.owners.test(static_cast<std::size_t>(operation.from)) &&
                           cell.position >= operation.begin && cell.position < operation.end;
        if (!meant) continue;
        if (operation.kind == KvOperation::Kind::kSave) {
          states_[operation.state].push_back(cell);
        } else if (operation.kind == KvOperation::Kind::kShare) {
          cell.owners.set(static_cast<std::size_t>(operation.to));
        } else {
          cell.owners.reset(static_cast<std::size_t>(operation.from));
        }
      }
      std::erase_if(cells_, [](const Cell& cell) { return cell.owners.none(); });
    }
    operations.clear();
  }
  void compute(std::int32_t sequence, std::uint32_t position, TokenId token) {
    Cell& cell = cells_.emplace_back(Cell{position, token, {}});
    cell.owners.set(static_cast<std::size_t>(sequence));
  }
  /// The tokens that a sequence sees, if they form a beginning without gaps and duplicates.
  std::optional<std::vector<TokenId>> seen_by(std::int32_t sequence) const {
    std::vector<std::optional<TokenId>> by_position;
    for (const Cell& cell : cells_) {
      if (!cell.owners.test(static_cast<std::size_t>(sequence))) continue;
      if (by_position.size() <= cell.position) by_position.resize(cell.position + 1);
      if (by_position[cell.position]) return std::nullopt;
      by_position[cell.position] = cell.token;
    }
    std::vector<TokenId> tokens;
    for (const auto& token : by_position) {
      if (!token) return std::nullopt;
      tokens.push_back(*token);
    }
    return tokens;
  }
  std::size_t size() const { return cells_.size(); }
  std::size_t saved() const { return states_.size(); }

 private:
  struct Cell {
    std::uint32_t position;
    TokenId token;
    std::bitset<64> owners;
  };
  std::vector<Cell> cells_;
  std::map<std::uint64_t, std::vector<Cell>> states_;
};

std::vector<TokenId> tokens_from(TokenId first, std::uint32_t count) {
  std::vector<TokenId> tokens(count);
  for (std::uint32_t i = 0; i < count; ++i) tokens[i] = first + static_cast<TokenId>(i);
  return tokens;
}

class KvCacheTest : public ::testing::Test {
 protected:
  /// Runs `tokens` through the cache from the first to the last.
  void run(KvCache& cache, const std::vector<TokenId>& tokens) {
    KvOperations operations;
    auto lease = cache.open(0, tokens, operations);
    ASSERT_TRUE(lease.open());
    const auto count = static_cast<std::uint32_t>(tokens.size()) - lease.computed;
    ASSERT_TRUE(cache.make_room(count, operations));
    cache.advance(lease, 0, tokens, count, operations);
    cache.close(lease, operations);
  }
  /// Runs all of them and evicts them for lack of room; up to `kept` tokens are spilled.
  void spill(KvCache& cache, std::uint64_t kept, const std::vector<std::vector<TokenId>>& all) {
    KvOperations operations;
    cache.spill(kept, operations);
    for (const auto& tokens : all) run(cache, tokens);
    ASSERT_TRUE(cache.make_room(cache.capacity(), operations));
  }
};

TEST_F(KvCacheTest, KeepsWholeBlocksAndFindsThemAgain) {
  KvCache cache({.cells = 100, .sequences = 4});
  const auto tokens = tokens_from(0, 40);
  run(cache, tokens);
  EXPECT_EQ(cache.used_cells(), 0U);
  EXPECT_EQ(cache.kept_cells(), 32U);
  EXPECT_EQ(cache.match(0, tokens), 32U);
  EXPECT_EQ(cache.match(0, tokens_from(0, 33)), 32U);
  EXPECT_EQ(cache.match(0, tokens_from(0, 32)), 16U);  // the last token is always computed
  EXPECT_EQ(cache.match(0, tokens_from(1, 40)), 0U);
}

TEST_F(KvCacheTest, SaltKeepsPrefixesApart) {
  KvCache cache({.cells = 100, .sequences = 4});
  const auto tokens = tokens_from(0, 40);
  run(cache, tokens);
  EXPECT_EQ(cache.match(7, tokens), 0U);
}

TEST_F(KvCacheTest, ForgetsTheLeastRecentlyUsedFirst) {
  KvCache cache({.cells = 96, .sequences = 8});
  const auto a = tokens_from(0, 33);
  const auto b = tokens_from(1000, 33);
  const auto c = tokens_from(2000, 33);
  run(cache, a);
  run(cache, b);
  run(cache, a);
  run(cache, c);  // 32 kept tokens each, and one more while c runs: b's last block is evicted
  EXPECT_EQ(cache.match(0, a), 32U);
  EXPECT_EQ(cache.match(0, b), 16U);
  EXPECT_EQ(cache.match(0, c), 32U);
}

TEST_F(KvCacheTest, NeverForgetsWhatASequenceUses) {
  KvCache cache({.cells = 64, .sequences = 8});
  KvOperations operations;
  const auto tokens = tokens_from(0, 33);
  run(cache, tokens);
  auto lease = cache.open(0, tokens, operations);
  EXPECT_EQ(lease.shared, 32U);
  EXPECT_TRUE(cache.make_room(32, operations));
  EXPECT_FALSE(cache.make_room(33, operations));
  EXPECT_EQ(cache.match(0, tokens), 32U);
  cache.close(lease, operations);
  EXPECT_TRUE(cache.make_room(64, operations));
  EXPECT_EQ(cache.free_sequences(), 8U);
}

TEST_F(KvCacheTest, FreesAnIdWhenAllAreTaken) {
  KvCache cache({.cells = 10'000, .sequences = 3});
  for (TokenId i = 0; i < 50; ++i) run(cache, tokens_from(i * 1000, 100));
  EXPECT_EQ(cache.kept_cells(), 2 * 96U);  // the third id is for the running sequence
}

TEST_F(KvCacheTest, CanBeToldToKeepNothing) {
  KvCache cache({.cells = 100, .sequences = 4, .keep_prefixes = false});
  run(cache, tokens_from(0, 40));
  EXPECT_EQ(cache.kept_cells(), 0U);
  EXPECT_EQ(cache.match(0, tokens_from(0, 40)), 0U);
}

TEST_F(KvCacheTest, OneCopyIsEnoughWhenTwoComputeTheSame) {
  KvCache cache({.cells = 200, .sequences = 8});
  KvOperations operations;
  const auto tokens = tokens_from(0, 40);
  auto one = cache.open(0, tokens, operations);
  auto two = cache.open(0, tokens, operations);
  cache.advance(one, 0, tokens, 40, operations);
  cache.advance(two, 0, tokens, 40, operations);
  EXPECT_EQ(cache.used_cells(), 32U + 8 + 8);
}

TEST_F(KvCacheTest, SpillsWhatItForgetsAndReloadsIt) {
  KvCache cache({.cells = 128, .sequences = 8});
  const auto a = tokens_from(0, 65);
  spill(cache, 64, {a});
  EXPECT_EQ(cache.match(0, a), 0U);
  EXPECT_EQ(cache.known(0, a), 64U);
  EXPECT_EQ(cache.known(0, tokens_from(0, 64)), 48U);
  EXPECT_EQ(cache.known(1, a), 0U) << "of another salt";
  KvOperations operations;
  auto lease = cache.open(0, a, operations);
  cache.reload(lease, 0, a, operations);
  EXPECT_EQ(lease.computed, 64U);
  EXPECT_EQ(std::ranges::count(operations, KvOperation::Kind::kRestore, &KvOperation::kind), 4);
  cache.close(lease, operations);
  EXPECT_EQ(cache.spilled_tokens(), 0U) << "it is back";
  EXPECT_EQ(cache.match(0, a), 64U);
  ASSERT_TRUE(cache.make_room(128, operations));
  EXPECT_EQ(cache.known(0, a), 64U);
}

TEST_F(KvCacheTest, ReloadsNoMoreThanThereIsRoomForTheRestoreItself) {
  const auto a = tokens_from(0, 65);
  for (const auto& [slack, reloaded] : {std::pair(0U, 64U), {64U, 48U}}) {
    KvCache cache({.cells = 112, .sequences = 8, .restore_slack = slack});
    spill(cache, 64, {a});
    KvOperations operations;
    auto lease = cache.open(0, a, operations);
    cache.reload(lease, 0, a, operations);
    EXPECT_EQ(lease.computed, reloaded) << slack;
    cache.close(lease, operations);
  }
}

TEST_F(KvCacheTest, WhatComesBackIsFoundByWhatWasSpilledBehindIt) {
  KvCache cache({.cells = 256, .sequences = 8});
  const auto a = tokens_from(0, 65);
  auto b = tokens_from(0, 65);
  for (std::size_t i = 32; i < b.size(); ++i) b[i] += 1000;
  spill(cache, 128, {a, b});
  KvOperations operations;
  for (const auto& tokens : {a, b}) {
    auto lease = cache.open(0, tokens, operations);
    cache.reload(lease, 0, tokens, operations);
    EXPECT_EQ(lease.computed, 64U);
    cache.close(lease, operations);
  }
}

TEST_F(KvCacheTest, WhatIsComputedAgainIsFoundByWhatWasSpilledBehindIt) {
  KvCache cache({.cells = 128, .sequences = 8});
  const auto a = tokens_from(0, 65);
  spill(cache, 48, {a});  // there is no room for the deepest of four blocks
  EXPECT_EQ(cache.known(0, a), 48U);
  run(cache, tokens_from(0, 17));
  EXPECT_EQ(cache.match(0, a), 16U);
  EXPECT_EQ(cache.known(0, a), 48U);
}

/// Sequences with common beginnings open, advance, fork and close at random in a cache far too small; a model
/// of the backend applies every operation and is checked after each.
class Simulation {
 public:
  explicit Simulation(std::uint64_t seed) : random_(seed) { cache_.spill(spilled_, operations_); }

  struct Live {
    std::uint64_t salt;
    std::vector<TokenId> tokens;
    KvCache::Lease lease;
  };

  void step() {
    if (random_.below(100) == 0) cache_.spill(spilled_ = random_.below(3) * 200, operations_);
    switch (random_.below(8)) {
      case 0:
      case 1:
        open();
        break;
      case 2:
        close();
        break;
      case 3:
        fork();
        break;
      default:
        advance();
    }
    check();
  }
  void finish() {
    while (!live_.empty()) close();
    ASSERT_EQ(cache_.used_cells(), 0U);
    cache_.clear(operations_);
    cells_.apply(operations_);
    ASSERT_EQ(cells_.size(), 0U);
    ASSERT_EQ(cache_.free_cells(), cache_.capacity());
    ASSERT_EQ(cache_.free_sequences(), 12U);
    ASSERT_EQ(cells_.saved(), 0U);
  }

  std::uint64_t hits = 0, forks = 0, refused = 0, reloads = 0;

 private:
  void open() {
    // Few different tokens, so that prefixes coincide.
    std::vector<TokenId> tokens(2 + random_.below(120));
    for (TokenId& token : tokens) token = random_.below(40) == 0 ? 2 : 1;
    Live live{random_.below(2), std::move(tokens), {}};
    live.lease = cache_.open(live.salt, live.tokens, operations_);
    if (!live.lease.open()) {
      ++refused;
      return;
    }
    hits += live.lease.shared > 0 ? 1 : 0;
    const std::uint32_t shared = live.lease.computed;
    const std::uint32_t known = cache_.known(live.salt, live.tokens);
    cache_.reload(live.lease, live.salt, live.tokens, operations_);
    ASSERT_LE(live.lease.computed, known);
    reloads += live.lease.computed > shared ? 1 : 0;
    live_.push_back(std::move(live));
  }
  void advance() {
    if (live_.empty()) return;
    Live& live = live_[random_.below(live_.size())];
    auto left = static_cast<std::uint32_t>(live.tokens.size()) - live.lease.computed;
    if (left == 0) {
      live.tokens.push_back(static_cast<TokenId>(1 + random_.below(2)));
      left = 1;
    }
    const auto count = 1 + static_cast<std::uint32_t>(random_.below(left));
    if (!cache_.make_room(count, operations_)) {
      ++refused;
      return;
    }
    cells_.apply(operations_);
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t position = live.lease.computed + i;
      cells_.compute(live.lease.sequence, position, live.tokens[position]);
    }
    cache_.advance(live.lease, live.salt, live.tokens, count, operations_);
  }
  void fork() {
    if (live_.empty()) return;
    const Live& parent = live_[random_.below(live_.size())];
    if (!cache_.make_room(kBlock, operations_)) return;
    if (parent.lease.computed - parent.lease.shared > kBlock) return;
    Live child{parent.salt, parent.tokens, cache_.fork(parent.lease, operations_)};
    if (!child.lease.open()) return;
    ++forks;
    live_.push_back(std::move(child));
  }
  void close() {
    if (live_.empty()) return;
    const std::size_t victim = random_.below(live_.size());
    cache_.close(live_[victim].lease, operations_);
    live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(victim));
  }
  void check() {
    cells_.apply(operations_);
    ASSERT_LE(cells_.size(), cache_.used_cells() + cache_.kept_cells());
    ASSERT_LE(cache_.used_cells() + cache_.kept_cells(), cache_.capacity());
    ASSERT_LE(cache_.spilled_tokens(), spilled_);
    ASSERT_EQ(cells_.saved() * kBlock, cache_.spilled_tokens());
    for (const Live& live : live_) {
      const auto seen = cells_.seen_by(live.lease.sequence);
      ASSERT_TRUE(seen.has_value()) << "a gap or a duplicate";
      ASSERT_EQ(seen->size(), live.lease.computed);
      ASSERT_TRUE(std::equal(seen->begin(), seen->end(), live.tokens.begin()));
    }
  }

  Random random_;
  KvCache cache_{{.cells = 400, .sequences = 12}};
  Cells cells_;
  std::uint64_t spilled_ = 400;
  KvOperations operations_;
  std::vector<Live> live_;
};

TEST(KvCache, SimulationGivesEverySequenceItsOwnTokens) {
  std::uint64_t hits = 0, forks = 0, refused = 0, reloads = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Simulation simulation(seed);
    for (int i = 0; i < 1500; ++i) ASSERT_NO_FATAL_FAILURE(simulation.step());
    ASSERT_NO_FATAL_FAILURE(simulation.finish());
    hits += simulation.hits;
    forks += simulation.forks;
    refused += simulation.refused;
    reloads += simulation.reloads;
  }
  EXPECT_GT(hits, 1000U);
  EXPECT_GT(forks, 1000U);
  EXPECT_GT(refused, 1000U);
  EXPECT_GT(reloads, 300U);
}

}  // namespace
}  // namespace autoglm::engine
