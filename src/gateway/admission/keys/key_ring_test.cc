#include "gateway/admission/keys/key_ring.h"

#include <gtest/gtest.h>

#include <vector>

namespace autoglm::gateway {
namespace {

TEST(KeyRing, FindsACallerByItsKeyOrItsDigest) {
  const std::vector<KeyConfig> keys = {
      {.name = "alice", .key = "sk-alice-0123456789", .tenant = "a", .group = "chat", .priority = 5},
      // printf %s sk-bob-0123456789ab | sha256sum
      {.name = "bob", .key = "sha256:c64d480009d96be90817e4035d00803187a2077741d43ddb04aca646dbf097c4"}};
  const auto ring = KeyRing::make(keys);
  ASSERT_TRUE(ring) << ring.error().message;
  const CallerPtr alice = (*ring)->find("sk-alice-0123456789");
  ASSERT_NE(alice, nullptr);
  EXPECT_EQ(alice->key, "alice");
  EXPECT_EQ(alice->tenant, "a");
  EXPECT_EQ(alice->group, "chat");
  EXPECT_EQ(alice->priority, 5);
  EXPECT_EQ((*ring)->find("sk-alice-012345678"), nullptr);
  EXPECT_EQ((*ring)->find(""), nullptr);
  ASSERT_NE((*ring)->find("sk-bob-0123456789ab"), nullptr);
  EXPECT_EQ((*ring)->find(keys[1].key), nullptr) << "a digest is no key";
}

TEST(KeyRing, ADigestStandsForItsKey) {
  // Of FIPS 180-2's first example.
  const std::vector<KeyConfig> keys = {
      {.name = "abc", .key = "sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}};
  const auto ring = KeyRing::make(keys);
  ASSERT_TRUE(ring);
  ASSERT_NE((*ring)->find("abc"), nullptr);
  EXPECT_EQ((*ring)->find("abc")->tenant, "abc") << "a key without a tenant is its own";
}

TEST(KeyRing, RefusesBrokenDigestsAndTwoEntriesForOneKey) {
  for (const char* broken :
       {"sha256:", "sha256:12", "sha256:ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}) {
    const auto ring = KeyRing::make(std::vector<KeyConfig>{{.name = "a", .key = broken}});
    ASSERT_FALSE(ring) << broken;
    EXPECT_EQ(ring.error().param, "key");
  }
  const auto twice = KeyRing::make(
      std::vector<KeyConfig>{{.name = "a", .key = "same-key"}, {.name = "b", .key = "same-key"}});
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().message.find("\"a\""), std::string::npos) << twice.error().message;
  EXPECT_EQ(twice.error().message.find("same-key"), std::string::npos) << "a key is never shown";
}

TEST(Caller, MayUseTheModelsThatItsPatternsName) {
  const Caller caller{.models = {"alpha", "chat-*"}};
  EXPECT_TRUE(caller.may_use("alpha"));
  EXPECT_TRUE(caller.may_use("chat-7b"));
  EXPECT_TRUE(caller.may_use("chat-"));
  EXPECT_FALSE(caller.may_use("alpha2"));
  EXPECT_FALSE(caller.may_use("chat"));
  EXPECT_FALSE(Caller{.models = {}}.may_use("alpha"));
  EXPECT_TRUE(Caller{}.may_use("anything"));
}

}  // namespace
}  // namespace autoglm::gateway
