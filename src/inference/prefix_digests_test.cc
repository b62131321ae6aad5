#include "inference/prefix_digests.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm {
namespace {

std::vector<std::uint64_t> of(std::string text, std::string salt = {}) {
  return prefix_digests({.prompts = {TextPrompt{std::move(text)}}, .cache_salt = std::move(salt)});
}

TEST(PrefixDigests, AreEqualAsFarAsPromptsAre) {
  const std::string shared(2048, 'a');
  const auto left = of(shared + std::string(1024, 'b'));
  const auto right = of(shared + std::string(600, 'c'));
  ASSERT_EQ(left.size(), 6U);
  ASSERT_EQ(right.size(), 5U);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(left[i], right[i]);
  EXPECT_NE(left[4], right[4]);
  EXPECT_NE(of(shared, "mine")[0], left[0]) << "who must not share does not look alike";
  EXPECT_TRUE(of("short").empty());
}

TEST(PrefixDigests, LandmarksStandWhereEverybodyLooks) {
  const std::vector<std::uint64_t> digests = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  EXPECT_EQ(prefix_landmarks(digests), (std::vector<std::uint64_t>{1, 2, 4, 8}));
  EXPECT_TRUE(prefix_landmarks({}).empty());
}

TEST(PrefixKey, WhoHasTheSecretMakesTheSameSeal) {
  const PrefixKey key("a secret of ours");
  EXPECT_EQ(key.seal(7), PrefixKey("a secret of ours").seal(7));
  EXPECT_NE(key.seal(7), 7U);
  EXPECT_NE(key.seal(7), key.seal(8));
  EXPECT_NE(key.seal(7), PrefixKey("another secret").seal(7));
  EXPECT_EQ(key.seal(PrefixSet{7, 8}), (PrefixSet{key.seal(7), key.seal(8)}));
}

}  // namespace
}  // namespace autoglm
