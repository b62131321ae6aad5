#include "app/jwks_source.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

namespace autoglm::app {
namespace {

class JwksSourceTest : public ::testing::Test {
 protected:
  JwksSourceTest() : folder_(testing::TempDir() + "jwks-XXXXXX") {
    if (::mkdtemp(folder_.data()) == nullptr) folder_.clear();
  }
  ~JwksSourceTest() override { std::filesystem::remove_all(folder_); }

  gateway::JwtConfig with_file(const std::string& text) const {
    const std::string path = folder_ + "/jwks.json";
    std::ofstream(path) << text;
    return {.issuer = "i", .audience = {"a"}, .jwks_file = path};
  }

  std::string folder_;
  observe::MetricRegistry metrics_;
  std::unique_ptr<observe::Logger> log_ = observe::Logger::create({.file = "/dev/null"}).value();
  JwksSource source_{metrics_, *log_};
};

TEST_F(JwksSourceTest, ReadsTheFileAndTakesItOverLater) {
  const auto config = with_file(R"({"keys":[{"kty":"oct","k":")" + std::string(64, 'A') + "\"}]}");
  auto prepared = source_.prepare(config);
  ASSERT_TRUE(prepared) << prepared.error().message;
  EXPECT_EQ(prepared->keys->keys().size(), 1U);
  EXPECT_TRUE(source_.prepare(config)->is_new) << "nothing has changed yet";
  source_.adopt(std::move(*prepared));
  EXPECT_FALSE(source_.prepare(config)->is_new);
  EXPECT_TRUE(source_.prepare(std::nullopt)->is_new);
}

TEST_F(JwksSourceTest, RefusesAFileWithoutKeys) {
  for (const char* text : {"", "{}", R"({"keys":[]})", R"({"keys":[{"kty":"OKP"}]})"}) {
    const auto refused = source_.prepare(with_file(text));
    ASSERT_FALSE(refused) << text;
    EXPECT_NE(refused.error().message.find("jwks.json"), std::string::npos);
  }
}

}  // namespace
}  // namespace autoglm::app
