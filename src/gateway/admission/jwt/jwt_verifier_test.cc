#include "gateway/admission/jwt/jwt_verifier.h"

#include "gateway/admission/keys/expiry.h"
#include "gateway/admission/testing/issuer.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <string>

namespace autoglm::gateway {
namespace {

const WallTime kNow = *parse_moment("2026-12-01T00:00:00Z");

std::string seconds_at(WallTime time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count());
}

class JwtVerifierTest : public ::testing::Test {
 protected:
  JwtVerifierTest() { use(*JwkSet::parse(issuer().jwks())); }

  static const Issuer& issuer() {
    static const Issuer made;
    return made;
  }
  void use(std::shared_ptr<const JwkSet> keys) { verifier_.use(config_, std::move(keys)); }
  /// Claims that are good for an hour, with `more` behind them: of two with one name the last counts.
  static std::string claims(const std::string& more = "") {
    return R"({"iss":"https://login.example/","aud":"autoglm","sub":"alice","exp":)" +
           seconds_at(kNow + std::chrono::hours(1)) + more + "}";
  }
  /// The reason of the refusal; "": it is taken.
  std::string verdict(const std::string& token, WallTime now = kNow) {
    const auto caller = verifier_.verify(token, now);
    EXPECT_EQ(ERR_peek_error(), 0U) << "TLS connections would find it";
    return caller ? "" : caller.error().reason;
  }

  JwtConfig config_{.issuer = "https://login.example/", .audience = {"autoglm", "other"}};
  JwtVerifier verifier_;
};

TEST_F(JwtVerifierTest, TakesWhatTheIssuerHasSigned) {
  EXPECT_EQ(verdict(issuer().rs256(claims())), "");
  EXPECT_EQ(verdict(issuer().es256(claims())), "");
  EXPECT_EQ(verdict(issuer().rs256(claims(), R"({"alg":"RS256","typ":"JWT"})")), "");
  EXPECT_EQ(verdict(issuer().rs256(claims(R"(,"aud":["x","other"])"))), "");
  const auto caller = verifier_.verify(issuer().rs256(claims()), kNow).value();
  EXPECT_EQ(caller->key, "jwt:alice");
  EXPECT_EQ(caller->tenant, "jwt:alice");
  EXPECT_TRUE(caller->may_use("anything"));
}

TEST_F(JwtVerifierTest, AnUnsignedTokenIsNone) {
  for (const char* algorithm : {"none", "None", "NONE", "nOnE"}) {
    const std::string header = std::string(R"({"alg":")") + algorithm + "\"}";
    EXPECT_EQ(verdict(Issuer::signed_part(header, claims()) + "."), "invalid_token");
    EXPECT_EQ(verdict(Issuer::signed_part(header, claims())), "invalid_token");
    const std::string signed_token = issuer().rs256(claims());
    EXPECT_EQ(verdict(Issuer::signed_part(header, claims()) + signed_token.substr(signed_token.rfind('.'))),
              "invalid_token");
  }
}

TEST_F(JwtVerifierTest, APublicKeyIsNoSecret) {
  config_.algorithms = {TokenAlgorithm::kRs256, TokenAlgorithm::kHs256};
  use(*JwkSet::parse(issuer().jwks()));
  const std::string kid = R"({"alg":"HS256","kid":"rsa-1"})";
  EXPECT_EQ(verdict(Issuer::hs256(claims(), issuer().rsa_pem(), kid)), "invalid_token");
  EXPECT_EQ(verdict(Issuer::hs256(claims(), issuer().rsa_pem())), "invalid_token");
  const TokenKey rsa{.kid = "rsa-1", .algorithm = TokenAlgorithm::kRs256, .material = issuer().rsa_pem()};
  EXPECT_FALSE(is_signed_by(Issuer::hs256(claims(), issuer().rsa_pem(), kid), rsa));
  EXPECT_TRUE(is_signed_by(issuer().rs256(claims()), rsa));
}

TEST_F(JwtVerifierTest, AKeyServesItsOwnAlgorithmAlone) {
  EXPECT_EQ(verdict(issuer().es256(claims(), R"({"alg":"ES256","kid":"rsa-1"})")), "invalid_token");
  EXPECT_EQ(verdict(issuer().rs256(claims(), R"({"alg":"RS256","kid":"ec-1"})")), "invalid_token");
  EXPECT_EQ(verdict(issuer().rs256(claims(), R"({"alg":"RS512","kid":"rsa-1"})")), "invalid_token");
  config_.algorithms = {TokenAlgorithm::kEs256};
  use(*JwkSet::parse(issuer().jwks()));
  EXPECT_EQ(verdict(issuer().rs256(claims())), "invalid_token") << "it is not allowed";
}

TEST_F(JwtVerifierTest, ATokenBringsNoKeyOfItsOwn) {
  const Issuer other;
  EXPECT_EQ(verdict(other.rs256(claims())), "invalid_token");
  EXPECT_EQ(verdict(other.rs256(claims(), R"({"alg":"RS256","kid":"rsa-1","jwk":)" + other.rsa_jwk() + "}")),
            "invalid_token");
  EXPECT_EQ(verdict(other.rs256(claims(), R"({"alg":"RS256","jku":"https://evil.example/jwks"})")),
            "invalid_token");
}

TEST_F(JwtVerifierTest, AChangedTokenIsNone) {
  const std::string token = issuer().rs256(claims());
  const std::size_t first = token.find('.');
  const std::size_t last = token.rfind('.');
  const std::string forged = Issuer::base64url(claims(R"(,"sub":"root")"));
  EXPECT_EQ(verdict(token.substr(0, first + 1) + forged + token.substr(last)), "invalid_token");
  EXPECT_EQ(verdict(token.substr(0, last + 1)), "invalid_token");
  EXPECT_EQ(verdict(token.substr(0, last)), "invalid_token");
  EXPECT_EQ(verdict(token.substr(0, token.size() - 8) + "AAAAAAAA"), "invalid_token");
  for (const char* broken :
       {"", ".", "..", "ey.ey.ey", "eyJhbGciOiJSUzI1NiJ9.e30.", "eyJhbGciOiJSUzI1NiJ9..x"})
    EXPECT_EQ(verdict(broken), "invalid_token") << broken;
  EXPECT_EQ(verdict("ey" + std::string(1 << 20, 'A') + ".e30.x"), "invalid_token");
}

TEST_F(JwtVerifierTest, ACriticalExtensionIsNotOverlooked) {
  EXPECT_EQ(verdict(issuer().rs256(claims(), R"({"alg":"RS256","kid":"rsa-1","crit":["b64"],"b64":false})")),
            "invalid_token");
}

TEST_F(JwtVerifierTest, HoldsForItsTimeAndItsPlace) {
  const std::string token = issuer().rs256(claims(R"(,"nbf":)" + seconds_at(kNow)));
  EXPECT_EQ(verdict(token, kNow - std::chrono::seconds(30)), "") << "clocks differ";
  EXPECT_EQ(verdict(token, kNow - std::chrono::seconds(31)), "invalid_token");
  const WallTime end = kNow + std::chrono::hours(1) + std::chrono::seconds(30);
  EXPECT_EQ(verdict(token, end - std::chrono::seconds(1)), "");
  EXPECT_EQ(verdict(token, end), "expired_token") << "from the cache, too";
  EXPECT_EQ(verdict(issuer().rs256(claims(R"(,"exp":null)"))), "invalid_token");
  EXPECT_EQ(verdict(issuer().rs256(claims(R"(,"exp":"tomorrow")"))), "invalid_token");
  EXPECT_EQ(verdict(issuer().rs256(claims(R"(,"exp":-1)"))), "invalid_token");
  EXPECT_EQ(verdict(issuer().rs256(claims(R"(,"exp":1e200)"))), "");
  EXPECT_EQ(verdict(issuer().rs256(claims(R"(,"iss":"https://login.example")"))), "invalid_token");
  EXPECT_EQ(verdict(issuer().rs256(claims(R"(,"aud":"autoglm2")"))), "invalid_token");
  EXPECT_EQ(verdict(issuer().rs256(claims(R"(,"aud":[])"))), "invalid_token");
  EXPECT_EQ(verdict(issuer().rs256(R"({"sub":"alice","exp":9999999999})")), "invalid_token");
  EXPECT_EQ(verdict(issuer().rs256(R"({"iss":"https://login.example/","aud":"autoglm","sub":"alice"})")),
            "invalid_token")
      << "it would hold forever";
  EXPECT_EQ(verdict(issuer().rs256("[]")), "invalid_token");
}

TEST_F(JwtVerifierTest, ClaimsBecomeACaller) {
  config_.tenant_claim = "org";
  config_.group_claim = "team";
  config_.models_claim = "scope";
  config_.priority = 3;
  config_.limits = {"rps"};
  use(*JwkSet::parse(issuer().jwks()));
  const auto caller =
      verifier_.verify(issuer().rs256(claims(R"(,"org":"shop","team":"chat","scope":"a  b*")")), kNow)
          .value();
  EXPECT_EQ(caller->tenant, "shop");
  EXPECT_EQ(caller->group, "chat");
  EXPECT_EQ(caller->models, (std::vector<std::string>{"a", "b*"}));
  EXPECT_EQ(caller->priority, 3);
  EXPECT_EQ(caller->limits, std::vector<std::string>{"rps"});
  for (const char* lacking :
       {R"(,"org":"shop","team":"chat")", R"(,"org":"shop","scope":"a")", R"(,"team":"chat","scope":"a")",
        R"(,"org":"","team":"chat","scope":"a")", R"(,"org":"shop","team":"chat","scope":[])",
        R"(,"org":1,"team":"chat","scope":"a")"})
    EXPECT_EQ(verdict(issuer().rs256(claims(lacking))), "invalid_token") << lacking;
}

TEST_F(JwtVerifierTest, ASharedSecret) {
  const std::string secret(32, 's');
  config_.algorithms = {TokenAlgorithm::kHs256};
  use(JwkSet::of_secret(secret));
  EXPECT_EQ(verdict(Issuer::hs256(claims(), secret)), "");
  EXPECT_EQ(verdict(Issuer::hs256(claims(), secret, R"({"alg":"HS256","kid":"any"})")), "");
  EXPECT_EQ(verdict(Issuer::hs256(claims(), std::string(32, 't'))), "invalid_token");
  EXPECT_EQ(verdict(Issuer::hs256(claims(), "")), "invalid_token");
}

TEST_F(JwtVerifierTest, AnUnknownKeyIsAskedForOnce) {
  using Freshness = JwtVerifier::Freshness;
  const std::string token = issuer().rs256(claims(), R"({"alg":"RS256","kid":"rsa-2"})");
  EXPECT_EQ(verdict(token), "invalid_token") << "the keys are fresh";
  EXPECT_EQ(verifier_.freshness(), Freshness::kFresh);
  verifier_.set_freshness(Freshness::kStale);
  EXPECT_EQ(verdict(issuer().rs256(claims())), "");
  EXPECT_EQ(verifier_.freshness(), Freshness::kStale);
  EXPECT_EQ(verdict(token), "token_keys_unavailable");
  EXPECT_EQ(verifier_.freshness(), Freshness::kWanted);
  EXPECT_EQ(verdict(token), "token_keys_unavailable");
  use(*JwkSet::parse(R"({"keys":[)" + issuer().rsa_jwk(R"(,"kid":"rsa-2")") + "]}"));
  verifier_.set_freshness(Freshness::kFresh);
  EXPECT_EQ(verdict(token), "");
}

TEST_F(JwtVerifierTest, OtherKeysEndWhatWasVerifiedByTheOldOnes) {
  const std::string token = issuer().rs256(claims());
  EXPECT_EQ(verdict(token), "");
  const Issuer other;
  use(*JwkSet::parse(other.jwks()));
  EXPECT_EQ(verdict(token), "invalid_token") << "not from the cache";
  verifier_.stop();
  EXPECT_EQ(verdict(other.rs256(claims())), "invalid_token");
}

TEST_F(JwtVerifierTest, RemembersABoundedNumberAndNoWrongOnes) {
  const std::string secret(32, 's');
  config_.algorithms = {TokenAlgorithm::kHs256};
  use(JwkSet::of_secret(secret));
  for (std::size_t i = 0; i < 2 * TokenCache::kMost; ++i)
    EXPECT_EQ(verdict(Issuer::hs256(claims(R"(,"sub":")" + std::to_string(i) + "\""), secret)), "");
  const std::size_t full = verifier_.cached();
  EXPECT_LE(full, TokenCache::kMost);
  EXPECT_GT(full, TokenCache::kMost / 2);
  JwtVerifier empty;
  empty.use(config_, JwkSet::of_secret(secret));
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(empty.verify(Issuer::hs256(claims(), std::to_string(i)), kNow));
  EXPECT_EQ(empty.cached(), 0U);
}

}  // namespace
}  // namespace autoglm::gateway
