#pragma once

#include "cluster/testing/fake_checks.h"
#include "gateway/endpoint/endpoint_factory.h"
#include "inference/testing/fake_endpoint.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// Makes FakeEndpoints, and keeps them.
class FakeFactory final : public EndpointFactory {
 public:
  std::vector<std::shared_ptr<FakeEndpoint>> made;           ///< in order
  std::vector<std::shared_ptr<cluster::FakeChecks>> checks;  ///< of each
  std::optional<Error> fail_with;

  Result<MemberEndpoint> make(const cluster::EndpointSpec& /*spec*/,
                              std::shared_ptr<std::atomic<ServerKind>> /*kind*/) override {
    if (fail_with) return fail(*fail_with);
    made.push_back(std::make_shared<FakeEndpoint>("m"));
    checks.push_back(std::make_shared<cluster::FakeChecks>());
    return MemberEndpoint{.endpoint = made.back(), .checks = checks.back()};
  }
};

}  // namespace autoglm::gateway
