#include "gateway/admission/keys/key_digest.h"

#include <gtest/gtest.h>

#include <set>

namespace autoglm::gateway {
namespace {

TEST(KeyDigest, IsSha256) {
  // Of FIPS 180-2's first example.
  constexpr std::string_view kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(to_hexadecimal(digest_of_key("abc")), kAbc);
  EXPECT_EQ(parse_digest(kAbc), digest_of_key("abc"));
  EXPECT_EQ(parse_digest(kAbc.substr(1)), std::nullopt);
  EXPECT_EQ(parse_digest("g" + std::string(kAbc.substr(1))), std::nullopt);
}

TEST(KeyDigest, NewKeysDifferAndCarryEnoughBits) {
  std::set<std::string> keys;
  for (int i = 0; i < 1000; ++i) {
    const auto key = new_key();
    ASSERT_TRUE(key);
    EXPECT_EQ(key->size(), 3U + 44U) << "six bits a letter: 264";
    EXPECT_TRUE(key->starts_with("sk-"));
    EXPECT_EQ(key->find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
              std::string::npos);
    keys.insert(*key);
  }
  EXPECT_EQ(keys.size(), 1000U);
}

}  // namespace
}  // namespace autoglm::gateway
