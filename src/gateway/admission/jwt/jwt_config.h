#pragma once

#include "base/clock.h"
#include "config/descriptor.h"
#include "gateway/admission/jwt/jwk_set.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace autoglm::gateway {

/// `jwt:`: callers that an identity provider vouches for.
struct JwtConfig {
  std::string issuer;
  std::vector<std::string> audience;
  std::string secret;
  std::string jwks_file;
  std::string jwks_url;
  std::vector<TokenAlgorithm> algorithms = {TokenAlgorithm::kRs256, TokenAlgorithm::kEs256};
  std::string name_claim = "sub";
  std::string tenant_claim;
  std::string group_claim;
  std::string models_claim;
  std::string group;
  std::vector<std::string> models = {"*"};
  std::uint8_t priority = 0;
  std::vector<std::string> limits;
  Duration leeway = std::chrono::seconds(30);
  Duration refresh = std::chrono::minutes(10);

  bool operator==(const JwtConfig&) const = default;
};

config::Descriptor<JwtConfig> describe_jwt();

}  // namespace autoglm::gateway
