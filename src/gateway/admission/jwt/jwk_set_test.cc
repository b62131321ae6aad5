#include "gateway/admission/jwt/jwk_set.h"

#include "gateway/admission/testing/issuer.h"

#include <gmock/gmock.h>

namespace autoglm::gateway {
namespace {

const Issuer& issuer_of_sets() {
  static const Issuer issuer;
  return issuer;
}

std::size_t usable_of(const std::string& keys) {
  const auto set = JwkSet::parse(R"({"keys":[)" + keys + "]}");
  return set ? (*set)->keys().size() : 0;
}

TEST(JwkSet, ReadsKeysOfEachKind) {
  const Issuer& issuer = issuer_of_sets();
  const auto set = JwkSet::parse(
      fmt::format(R"({{"keys":[{},{},{{"kty":"oct","kid":"o","k":"{}"}}],"more":1}})", issuer.rsa_jwk(),
                  issuer.ec_jwk(), Issuer::base64url(std::string(32, '\xff'))));
  ASSERT_TRUE(set) << set.error().message;
  ASSERT_EQ((*set)->keys().size(), 3U);
  EXPECT_EQ((*set)->keys()[0].material, issuer.rsa_pem());
  EXPECT_EQ((*set)->keys()[1].algorithm, TokenAlgorithm::kEs256);
  EXPECT_EQ((*set)->keys()[2].material, std::string(32, '\xff'));
}

TEST(JwkSet, LeavesOutWhatIsWeakBrokenOrForOtherUses) {
  const Issuer& issuer = issuer_of_sets();
  EXPECT_EQ(usable_of(issuer.rsa_jwk(R"(,"use":"enc")")), 0U);
  EXPECT_EQ(usable_of(issuer.rsa_jwk(R"(,"alg":"RS512")")), 0U);
  EXPECT_EQ(usable_of(issuer.rsa_jwk(R"(,"alg":"HS256")")), 0U);
  EXPECT_EQ(usable_of(issuer.ec_jwk(R"(,"alg":"ES384")")), 0U);
  EXPECT_EQ(usable_of(Issuer(1024).rsa_jwk()), 0U);
  EXPECT_EQ(usable_of(R"({"kty":"RSA","e":"AQAB"})"), 0U);
  EXPECT_EQ(usable_of(R"({"kty":"RSA","e":"AQAB","n":"*"})"), 0U);
  const std::string x = Issuer::base64url(std::string(32, '\x01'));
  EXPECT_EQ(usable_of(R"({"kty":"EC","crv":"P-256","x":")" + x + R"(","y":")" + x + "\"}"), 0U)
      << "no point of the curve";
  EXPECT_EQ(usable_of(R"({"kty":"oct","k":")" + Issuer::base64url(std::string(31, 'x')) + "\"}"), 0U);
  EXPECT_EQ(usable_of(R"({"kty":"OKP","crv":"Ed25519","x":")" + x + "\"}"), 0U);
  EXPECT_EQ(usable_of(issuer.rsa_jwk() + "," + R"({"kty":"OKP"})"), 1U) << "the others count";
}

TEST(JwkSet, RefusesWhatIsNoSet) {
  for (const char* wrong : {"", "[]", "{}", R"({"keys":{}})", R"({"keys":[)"})
    EXPECT_FALSE(JwkSet::parse(wrong)) << wrong;
  std::string many = issuer_of_sets().ec_jwk();
  for (std::size_t i = 0; i < JwkSet::kMostKeys; ++i) many += R"(,{"kty":"OKP"})";
  EXPECT_EQ(usable_of(many), 0U);
}

TEST(JwkSet, AnIssuerMayWithdrawAllOfItsKeys) {
  for (const char* none :
       {R"({"keys":[]})", R"({"keys":[1]})", R"({"keys":[{"kty":1}]})", R"({"keys":[{}]})"}) {
    const auto set = JwkSet::parse(none);
    ASSERT_TRUE(set) << none;
    EXPECT_TRUE((*set)->keys().empty());
  }
}

TEST(JwkSet, ABrokenEntryLeavesTheOthers) {
  const std::string good = issuer_of_sets().rsa_jwk();
  for (const char* broken : {"1", R"({"kty":1})", R"({"kty":"RSA","n":[],"e":{}})", "null"})
    EXPECT_EQ(usable_of(std::string(broken) + "," + good), 1U) << broken;
}

TEST(JwkSet, EqualsASetOfTheSameKeys) {
  const std::string text = issuer_of_sets().jwks();
  EXPECT_EQ(**JwkSet::parse(text), **JwkSet::parse(text));
  EXPECT_NE(**JwkSet::parse(text), **JwkSet::parse(R"({"keys":[]})"));
}

TEST(JwkSet, FindsTheKeyOfATokenForItsAlgorithmAlone) {
  const auto set = *JwkSet::parse(issuer_of_sets().jwks());
  ASSERT_NE(set->find("rsa-1", TokenAlgorithm::kRs256), nullptr);
  EXPECT_EQ(set->find("rsa-1", TokenAlgorithm::kHs256), nullptr);
  EXPECT_EQ(set->find("rsa-1", TokenAlgorithm::kEs256), nullptr);
  EXPECT_EQ(set->find("rsa-2", TokenAlgorithm::kRs256), nullptr);
  EXPECT_NE(set->find(std::nullopt, TokenAlgorithm::kRs256), nullptr);
  const auto two =
      *JwkSet::parse(fmt::format(R"({{"keys":[{},{}]}})", issuer_of_sets().rsa_jwk(R"(,"kid":"a")"),
                                 issuer_of_sets().rsa_jwk(R"(,"kid":"b")")));
  EXPECT_EQ(two->find(std::nullopt, TokenAlgorithm::kRs256), nullptr) << "which one?";
  EXPECT_EQ(two->find("b", TokenAlgorithm::kRs256)->kid, "b");
}

}  // namespace
}  // namespace autoglm::gateway
