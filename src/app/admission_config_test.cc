#include "app/admission_config.h"

#include <gtest/gtest.h>

namespace autoglm::app {
namespace {

AdmissionConfig with_a_key() {
  AdmissionConfig config;
  config.keys = {{.name = "alice", .key = "sk-alice-0123456789"}};
  return config;
}

AdmissionConfig with_a_store() {
  AdmissionConfig config;
  config.key_store = KeyStoreConfig{.path = "keys.db"};
  return config;
}

TEST(AdmissionConfig, AReloadThatMovesTheKeysDoesNotOpenTheServer) {
  AdmissionConfig with_a_file;
  with_a_file.keys_file = "keys.yaml";
  const AdmissionConfig open;  // what is left of both until a restart
  for (const AdmissionConfig& written : {with_a_file, with_a_store(), with_a_key()})
    EXPECT_EQ(check_reload(written, open).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(check_reload(with_a_store(), with_a_key()));
  EXPECT_TRUE(check_reload(with_a_store(), with_a_store()));
}

TEST(AdmissionConfig, AServerMayBeOpenedWhereThatIsWritten) {
  EXPECT_TRUE(check_reload({}, {}));
  EXPECT_TRUE(check_reload({}, with_a_store())) << "which it keeps until a restart";
}

TEST(AdmissionConfig, KeysNameLimitsThatAreForKeys) {
  AdmissionConfig config;
  config.limits = {{.name = "own", .per = gateway::LimitScope::kKey},
                   {.name = "all", .per = gateway::LimitScope::kGlobal},
                   {.name = "each", .per = gateway::LimitScope::kModel}};
  config.groups = {{.name = "chat"}};
  EXPECT_TRUE(check_rights(config, "chat", {"own"}).empty());
  const auto wrong = check_rights(config, "none", {"own", "all", "each", "gone"});
  ASSERT_EQ(wrong.size(), 4U);
  EXPECT_EQ(wrong[0].path, "group");
  EXPECT_EQ(wrong[1].path, "limits[1]");
  EXPECT_EQ(wrong[3].path, "limits[3]");
}

}  // namespace
}  // namespace autoglm::app
