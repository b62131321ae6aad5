#include "gateway/admission/keys/key_ring.h"

#include <gtest/gtest.h>

#include <vector>

namespace autoglm::gateway {
namespace {

CallerPtr found(const KeyRing& ring, std::string_view key) { return ring.find(key, WallTime()).caller; }

TEST(KeyRing, FindsACallerByItsKeyOrItsDigest) {
  const std::vector<KeyConfig> keys = {
      {.name = "alice", .key = "sk-alice-0123456789", .tenant = "a", .group = "chat", .priority = 5},
      // printf %s sk-bob-0123456789ab | sha256sum
      {.name = "bob", .key = "sha256:c64d480009d96be90817e4035d00803187a2077741d43ddb04aca646dbf097c4"}};
  const auto ring = KeyRing::make(keys);
  ASSERT_TRUE(ring) << ring.error().message;
  const CallerPtr alice = found(**ring, "sk-alice-0123456789");
  ASSERT_NE(alice, nullptr);
  EXPECT_EQ(alice->key, "alice");
  EXPECT_EQ(alice->tenant, "a");
  EXPECT_EQ(alice->group, "chat");
  EXPECT_EQ(alice->priority, 5);
  EXPECT_EQ(found(**ring, "sk-alice-012345678"), nullptr);
  EXPECT_EQ(found(**ring, ""), nullptr);
  ASSERT_NE(found(**ring, "sk-bob-0123456789ab"), nullptr);
  EXPECT_EQ(found(**ring, keys[1].key), nullptr) << "a digest is no key";
}

TEST(KeyRing, ADigestStandsForItsKey) {
  // Of FIPS 180-2's first example.
  const std::vector<KeyConfig> keys = {
      {.name = "abc", .key = "sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}};
  const auto ring = KeyRing::make(keys);
  ASSERT_TRUE(ring);
  ASSERT_NE(found(**ring, "abc"), nullptr);
  EXPECT_EQ(found(**ring, "abc")->tenant, "abc") << "a key without a tenant is its own";
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

std::shared_ptr<const KeyLayer> layer_of(const std::vector<KeyConfig>& keys) { return *KeyLayer::make(keys); }

TEST(KeyRing, ANameBelongsToTheFirstSourceThatHasIt) {
  const auto first = layer_of({{.name = "alice", .key = "first-of-alice"}});
  const auto second =
      layer_of({{.name = "alice", .key = "other-of-alice"}, {.name = "bob", .key = "key-of-bob"}});
  const KeyRing ring({first, second}, false);
  EXPECT_NE(found(ring, "first-of-alice"), nullptr);
  EXPECT_EQ(found(ring, "other-of-alice"), nullptr)
      << "two holders would share one name's answers and budget";
  EXPECT_NE(found(ring, "key-of-bob"), nullptr);
  EXPECT_NE(found(KeyRing({second}, false), "other-of-alice"), nullptr);
}

TEST(KeyRing, AsksForKeysThatAreStillToBeMade) {
  EXPECT_FALSE(KeyRing({}, false).asks());
  EXPECT_FALSE(KeyRing({layer_of({})}, false).asks());
  EXPECT_TRUE(KeyRing({layer_of({})}, true).asks());
  EXPECT_TRUE(KeyRing({layer_of({}), layer_of({{.name = "a", .key = "key-of-a"}})}, false).asks());
}

TEST(KeyRing, FindsACallerByItsCertificate) {
  const KeyRing ring(
      {layer_of({{.name = "web", .certificate = "spiffe://example.org/web"},
                 {.name = "api", .certificate = "dns:API.example"},
                 {.name = "old", .certificate = "cn:old", .expires = "2020-01-01T00:00:00Z"}})},
      false);
  const auto key_of = [&](std::vector<std::string> names) {
    const auto match = ring.find_certificate(names, WallTime(std::chrono::days(20'000)));
    return match.caller ? match.caller->key : match.is_expired ? "expired" : "";
  };
  EXPECT_TRUE(ring.asks());
  EXPECT_EQ(key_of({"uri:spiffe://example.org/web", "cn:x"}), "web");
  EXPECT_EQ(key_of({"dns:x", "dns:api.example"}), "api");
  EXPECT_EQ(key_of({"cn:old"}), "expired");
  EXPECT_EQ(key_of({"cn:spiffe://example.org/web", "cn:api.example", "dns:old"}), "") << "of another kind";
  EXPECT_EQ(key_of({}), "");
  EXPECT_EQ(found(ring, ""), nullptr) << "an entry without a key has none";
}

TEST(KeyRing, RefusesCertificatesThatAreNone) {
  for (const char* wrong : {"web", "dns:", "ip:10.0.0.1", "http://example.org"})
    EXPECT_EQ(KeyLayer::make(std::vector<KeyConfig>{{.name = "a", .certificate = wrong}}).error().param,
              "certificate");
  EXPECT_FALSE(KeyLayer::make(
      std::vector<KeyConfig>{{.name = "a", .certificate = "dns:x"}, {.name = "b", .certificate = "dns:X"}}));
}

TEST(KeyRing, RefusesATimeThatIsNone) {
  const auto ring =
      KeyRing::make(std::vector<KeyConfig>{{.name = "a", .key = "key-of-a", .expires = "soon"}});
  ASSERT_FALSE(ring);
  EXPECT_EQ(ring.error().param, "expires");
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
