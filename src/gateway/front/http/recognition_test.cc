#include "gateway/front/http/recognition.h"

#include "http/head_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace autoglm::gateway {
namespace {

class RecognitionTest : public ::testing::Test {
 protected:
  /// The reason of the refusal; "": the client may go on.
  std::string asked(const std::string& headers) {
    http::Request request;
    EXPECT_TRUE(http::parse_request_head("GET / HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n", {}, request));
    if (!names_.empty()) request.client_names = std::make_shared<const std::vector<std::string>>(names_);
    record_ = {};
    const auto refusal = recognize({.keys = &keys_, .tokens = &tokens_}, request, record_, now_);
    if (!refusal) return "";
    EXPECT_EQ(refusal->message.find("sk-"), std::string::npos) << "an error repeats no key";
    return refusal->reason;
  }
  void only(std::string key) {
    keys_.set(
        *KeyRing::make(std::vector<KeyConfig>{{.name = "alice", .key = std::move(key), .priority = 5}}));
  }

  /// Knows one token.
  struct OneToken final : TokenVerifier {
    Result<CallerPtr> verify(std::string_view token, WallTime) override {
      if (token == "ey.good.token")
        return std::make_shared<const Caller>(Caller{.key = "jwt:bob", .priority = 2});
      return fail(Error{.code = ErrorCode::kUnauthenticated, .reason = "invalid_token"});
    }
  };

  std::vector<std::string> names_;  // of the client's certificate
  LiveKeys keys_;
  OneToken tokens_;
  WallTime now_ = std::chrono::sys_days(std::chrono::year(2026) / 12 / 1);
  RequestRecord record_;
};

TEST_F(RecognitionTest, WithoutKeysNobodyIsAskedForOne) {
  EXPECT_EQ(asked(""), "");
  keys_.set(*KeyRing::make({}));
  EXPECT_EQ(asked("x-api-key: sk-alice\r\n"), "");
  EXPECT_EQ(record_.caller, nullptr);
}

TEST_F(RecognitionTest, AKeyMayStandInThreePlaces) {
  only("sk-alice");
  for (const char* header : {"Authorization: Bearer sk-alice\r\n", "authorization: bearer  sk-alice\r\n",
                             "x-api-key: sk-alice\r\n", "api-key: sk-alice\r\n",
                             "Authorization: Basic YTpi\r\nx-api-key: sk-alice\r\n"}) {
    EXPECT_EQ(asked(header), "") << header;
    ASSERT_NE(record_.caller, nullptr) << header;
    EXPECT_EQ(record_.caller->key, "alice");
    EXPECT_EQ(record_.priority, 5);
  }
}

TEST_F(RecognitionTest, AnythingElseIsNoKey) {
  only("sk-alice");
  EXPECT_EQ(asked(""), "missing_api_key");
  EXPECT_EQ(asked("Authorization: Basic sk-alice\r\n"), "missing_api_key");
  EXPECT_EQ(asked("Authorization: sk-alice\r\n"), "missing_api_key");
  EXPECT_EQ(asked("Authorization: Bearer\r\n"), "missing_api_key");
  EXPECT_EQ(asked("Authorization: Bearer sk-alic\r\n"), "invalid_api_key");
  EXPECT_EQ(asked("Authorization: Bearer sk-wrong\r\nx-api-key: sk-alice\r\n"), "invalid_api_key");
  EXPECT_EQ(asked("x-api-key: Bearer sk-alice\r\n"), "invalid_api_key");
  EXPECT_EQ(asked("x-api-key:\r\n"), "invalid_api_key");
}

TEST_F(RecognitionTest, AKeyThatIsReplacedIsUnknownAtOnce) {
  only("sk-alice");
  EXPECT_EQ(asked("x-api-key: sk-alice\r\n"), "");
  only("sk-fresh");
  EXPECT_EQ(asked("x-api-key: sk-alice\r\n"), "invalid_api_key");
}

TEST_F(RecognitionTest, AKeyExpiresByTheCalendar) {
  keys_.set(*KeyRing::make(
      std::vector<KeyConfig>{{.name = "alice", .key = "sk-alice", .expires = "2026-12-01T00:00:01Z"}}));
  EXPECT_EQ(asked("x-api-key: sk-alice\r\n"), "");
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(asked("x-api-key: sk-alice\r\n"), "expired_api_key");
  EXPECT_EQ(record_.caller, nullptr);
  now_ += std::chrono::hours(24 * 365);
  EXPECT_EQ(asked("x-api-key: sk-alice\r\n"), "expired_api_key");
  EXPECT_EQ(asked("x-api-key: sk-wrong\r\n"), "invalid_api_key");
}

TEST_F(RecognitionTest, AServerWhoseKeysAreStillToBeMadeAsksForOne) {
  keys_.set(std::make_shared<const KeyRing>(std::vector<std::shared_ptr<const KeyLayer>>(), true));
  EXPECT_EQ(asked(""), "missing_api_key");
  EXPECT_EQ(asked("x-api-key: sk-alice\r\n"), "invalid_api_key");
}

TEST_F(RecognitionTest, ACertificateStandsForAKeyThatIsNotShown) {
  keys_.set(*KeyRing::make(std::vector<KeyConfig>{{.name = "web", .certificate = "dns:web.example"},
                                                  {.name = "alice", .key = "sk-alice"}}));
  names_ = {"dns:web.example", "cn:alice"};
  EXPECT_EQ(asked(""), "");
  EXPECT_EQ(record_.caller->key, "web");
  EXPECT_EQ(asked("x-api-key: sk-alice\r\n"), "");
  EXPECT_EQ(record_.caller->key, "alice");
  EXPECT_EQ(asked("x-api-key: sk-wrong\r\n"), "invalid_api_key") << "a wrong key is not overlooked";
  names_ = {"dns:other.example"};
  EXPECT_EQ(asked(""), "missing_api_key");
}

TEST_F(RecognitionTest, ATokenStandsForAKey) {
  only("ey.key.with-dots");
  EXPECT_EQ(asked("Authorization: Bearer ey.good.token\r\n"), "");
  EXPECT_EQ(record_.caller->key, "jwt:bob");
  EXPECT_EQ(record_.priority, 2);
  EXPECT_EQ(asked("Authorization: Bearer ey.bad.token\r\n"), "invalid_token");
  EXPECT_EQ(record_.caller, nullptr);
  EXPECT_EQ(asked("Authorization: Bearer ey.key.with-dots\r\n"), "") << "a key is a key";
  for (const char* other : {"ey.one", "ey.a.b.c", "ex.good.token", "eyNothing"})
    EXPECT_EQ(asked(std::string("x-api-key: ") + other + "\r\n"), "invalid_api_key") << other;
}

TEST_F(RecognitionTest, APriorityIsADigit) {
  only("sk-alice");
  const std::string key = "x-api-key: sk-alice\r\n";
  for (const char* wrong : {"10", "-1", "x", ""})
    EXPECT_EQ(asked(key + "x-priority: " + wrong + "\r\n"), "invalid_value") << wrong;
  EXPECT_EQ(asked(key + "x-priority: 3\r\n"), "");
  EXPECT_EQ(record_.priority, 3);
}

TEST(HearServer, NotesTheCallerThatTheServerSays) {
  LiveGroupShares shares;
  RequestRecord record;
  const auto hear = [&](const std::string& headers) {
    http::Request request;
    EXPECT_TRUE(http::parse_request_head("GET / HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n", {}, request));
    record = {};
    hear_server(shares, request, record);
  };
  hear("X-Api-Key: 0123\r\n");
  EXPECT_EQ(record.caller, nullptr);
  EXPECT_EQ(shares.version(), 0U);
  hear(
      "X-Api-Key: 0123\r\nX-Priority: 7\r\nX-Autoglm-Shares: 3;chat%20=0.5/1/1;\r\nX-Autoglm-Group: "
      "chat%20\r\n");
  ASSERT_NE(record.caller, nullptr);
  EXPECT_EQ(record.caller->group, "chat ");
  EXPECT_EQ(record.caller->tenant, "0123");
  EXPECT_EQ(record.priority, 7);
  EXPECT_EQ(shares.version(), 3U);
  EXPECT_EQ(shares.get()->groups[0].name, "chat ");
}

}  // namespace
}  // namespace autoglm::gateway
