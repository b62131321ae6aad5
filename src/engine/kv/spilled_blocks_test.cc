#include "engine/kv/spilled_blocks.h"

#include <gtest/gtest.h>

namespace autoglm::engine {
namespace {

using Kind = KvOperation::Kind;

class SpilledBlocksTest : public ::testing::Test {
 protected:
  void put(std::uint64_t serial, std::uint64_t parent = 0) {
    blocks_.put({parent, 0, tokens_}, serial, 3, 32, operations_);
  }
  bool has(std::uint64_t parent, std::uint64_t salt = 0) const {
    return blocks_.find({parent, salt, tokens_}).has_value();
  }

  std::vector<TokenId> tokens_ = std::vector<TokenId>(16, 5);
  SpilledBlocks blocks_;
  KvOperations operations_;
};

TEST_F(SpilledBlocksTest, KeepsNothingUntilItMay) {
  put(1);
  EXPECT_TRUE(operations_.empty());
  EXPECT_FALSE(has(0));
}

TEST_F(SpilledBlocksTest, ABlockIsItsTokensBehindOthers) {
  blocks_.limit(100, operations_);
  put(7, 6);
  ASSERT_EQ(operations_.size(), 1U);
  EXPECT_EQ(
      operations_[0],
      (KvOperation{
          .kind = Kind::kSave, .from = 3, .begin = 32, .end = 48, .state = SpilledBlocks::state_of(7)}));
  EXPECT_EQ(blocks_.find({6, 0, tokens_}), 7U);
  EXPECT_FALSE(has(5)) << "behind others";
  EXPECT_FALSE(has(6, 1)) << "of another salt";
  tokens_.back() = 6;
  EXPECT_FALSE(has(6)) << "other tokens";
}

TEST_F(SpilledBlocksTest, TheOldestGo) {
  blocks_.limit(48, operations_);
  for (std::uint64_t serial : {1, 2, 3}) put(serial, 10 * serial);
  put(1, 10);  // already saved: used again, but not saved again
  EXPECT_EQ(operations_.size(), 3U);
  put(4, 40);
  EXPECT_EQ(operations_[3], (KvOperation{.kind = Kind::kDrop, .state = SpilledBlocks::state_of(2)}));
  EXPECT_TRUE(has(10) && !has(20) && has(30) && has(40));
  operations_.clear();
  blocks_.take(3);
  EXPECT_TRUE(operations_.empty()) << "it is the caller's now";
  EXPECT_FALSE(has(30));
  EXPECT_EQ(blocks_.tokens(), 32U);
  blocks_.limit(16, operations_);
  EXPECT_TRUE(!has(10) && has(40));
  EXPECT_EQ(blocks_.tokens(), 16U);
  blocks_.clear(operations_);
  EXPECT_FALSE(has(40));
  EXPECT_EQ(blocks_.tokens(), 0U);
}

}  // namespace
}  // namespace autoglm::engine
