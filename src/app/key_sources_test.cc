#include "app/key_sources.h"

#include "gateway/admission/keys/key_store.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace autoglm::app {
namespace {

class KeySourcesTest : public ::testing::Test {
 protected:
  KeySourcesTest() : folder_(testing::TempDir() + "key-sources-XXXXXX") {
    if (::mkdtemp(folder_.data()) == nullptr) folder_.clear();
    config_.keys = {{.name = "alice", .key = "sk-alice-0123456789", .limits = {"own"}}};
    config_.limits = {{.name = "own", .per = gateway::LimitScope::kKey, .requests = "5/s"},
                      {.name = "all", .per = gateway::LimitScope::kGlobal, .requests = "9/s"}};
    config_.key_store = KeyStoreConfig{.path = folder_ + "/keys.db"};
  }
  ~KeySourcesTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<KeySources> create() { return KeySources::create(config_, metrics_, *log_).value(); }

  std::string folder_;
  AdmissionConfig config_;
  observe::MetricRegistry metrics_;
  std::unique_ptr<observe::Logger> log_ = observe::Logger::create({.file = "/dev/null"}).value();
};

TEST_F(KeySourcesTest, KeysInForceAreThoseOfAllSourcesByTheirRank) {
  {
    const auto now = std::chrono::system_clock::now();
    auto store = gateway::KeyStore::open({.path = config_.key_store->path}).value();
    ASSERT_TRUE(store.create({.name = "alice"}, now));
    ASSERT_TRUE(store.create({.name = "gone"}, now));
    ASSERT_TRUE(store.create({.name = "web", .limits = {"own"}}, now));
    ASSERT_TRUE(store.revoke("gone", now));
  }
  std::vector<std::string> names;
  create()->for_each_in_force([&](const gateway::KeyConfig& key) {
    names.push_back(key.name);
    EXPECT_EQ(key.limits, std::vector<std::string>{"own"}) << key.name;
  });
  EXPECT_THAT(names, ::testing::ElementsAre("alice", "web"));
}

TEST_F(KeySourcesTest, AKeyIsMadeAsTheConfigurationWouldHaveIt) {
  const auto sources = create();
  EXPECT_TRUE(sources->check({.name = "web", .limits = {"own"}}));
  EXPECT_EQ(sources->check({.name = "alice"}).error().reason, "key_exists");
  for (const char* wrong : {"all", "none"})
    EXPECT_EQ(sources->check({.name = "web", .limits = {"own", wrong}}).error().param, "limits") << wrong;
}

TEST_F(KeySourcesTest, AReloadIsReadBeforeItIsApplied) {
  const auto sources = create();
  AdmissionConfig next = config_;
  next.jwt = gateway::JwtConfig{.issuer = "i", .audience = {"a"}, .jwks_file = folder_ + "/none.json"};
  EXPECT_EQ(sources->prepare(next).error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(sources->prepare(config_)->is_new);
}

}  // namespace
}  // namespace autoglm::app
