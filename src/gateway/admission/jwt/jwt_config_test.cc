#include "gateway/admission/jwt/jwt_config.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

std::size_t faults_of_address(const std::string& url) {
  const JwtConfig config{.issuer = "https://issuer.example/", .audience = {"a"}, .jwks_url = url};
  std::size_t count = 0;
  for (const auto& rule : describe_jwt().description()->checks) count += rule(&config).size();
  return count;
}

TEST(JwtConfig, KeysComeFromThisMachineOrByTls) {
  for (const char* good : {"https://issuer.example/jwks", "http://localhost:1/jwks",
                           "http://127.0.0.1:1/jwks", "http://127.9.9.9/jwks", "http://[::1]:1/jwks"})
    EXPECT_EQ(faults_of_address(good), 0U) << good;
  for (const char* bad : {"http://issuer.example/jwks", "http://127.evil.example/jwks",
                          "http://127.0.0.1.evil.example/jwks", "http://128.0.0.1/jwks"})
    EXPECT_EQ(faults_of_address(bad), 1U) << bad;
}

}  // namespace
}  // namespace autoglm::gateway
