#include "app/keys/key_agent.h"

#include "app/keys/key_text.h"
#include "sqlite/database.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>

namespace autoglm::app {
namespace {

using ::testing::HasSubstr;

class KeyAgentTest : public ::testing::Test {
 public:
  KeyAgentTest() : folder_(testing::TempDir() + "agent-XXXXXX") {
    if (::mkdtemp(folder_.data()) == nullptr) folder_.clear();
  }
  ~KeyAgentTest() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ + "/keys.db"; }

  std::string folder_;
};

TEST_F(KeyAgentTest, WorksOnTheFile) {
  const auto agent = make_file_agent(path(), true).value();
  const auto made = agent->create(R"({"name":"alice","expires":"1h"})");
  ASSERT_TRUE(made) << made.error().message;
  const std::string key = key_in(*made);
  EXPECT_TRUE(key.starts_with("sk-"));
  EXPECT_THAT(*agent->list(), HasSubstr(R"({"keys":[{"name":"alice")"));
  EXPECT_THAT(*agent->show("alice"), HasSubstr(R"("state":"active")"));
  const std::string next = key_in(*agent->rotate("alice", R"({"grace":"1h"})"));
  EXPECT_NE(key, next);
  EXPECT_THAT(*agent->revoke("alice"), HasSubstr(R"("state":"revoked")"));
  EXPECT_EQ(agent->create(R"({"name":"alice"})").error().reason, "key_exists");
  EXPECT_EQ(agent->show("bob").error().reason, "unknown_key");
  EXPECT_EQ(agent->create(R"({"name":"b/c"})").error().param, "name");
}

TEST_F(KeyAgentTest, SaysThatAKeyCannotBeRead) {
  const auto agent = make_file_agent(path(), true).value();
  ASSERT_TRUE(agent->create(R"({"name":"alice"})"));
  auto other =
      sqlite::Database::open(path(), {.journal_mode = sqlite::Database::JournalMode::kRollback}).value();
  ASSERT_TRUE(other.execute("UPDATE keys SET rights = '{}'"));
  EXPECT_EQ(agent->show("alice").error().code, ErrorCode::kDataLoss);
  EXPECT_TRUE(agent->list());
}

TEST_F(KeyAgentTest, ALookMakesNoFile) {
  EXPECT_EQ(make_file_agent(path(), false).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(KeyAgentTest, SaysThatNoServerAnswers) {
  const auto agent = make_remote_agent(AdminClient(http::Url::parse("http://127.0.0.1:1").value(), ""));
  EXPECT_EQ(agent->list().error().reason, "connect_failed");
}

}  // namespace
}  // namespace autoglm::app
