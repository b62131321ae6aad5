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
    record_ = {};
    const auto refusal = recognize(keys_, request, record_);
    if (!refusal) return "";
    EXPECT_EQ(refusal->message.find("sk-"), std::string::npos) << "an error repeats no key";
    return refusal->reason;
  }
  void only(std::string key) {
    keys_.set(
        *KeyRing::make(std::vector<KeyConfig>{{.name = "alice", .key = std::move(key), .priority = 5}}));
  }

  LiveKeys keys_;
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
