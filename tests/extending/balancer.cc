// A policy of balancing: the first member that may be asked, as a primary and its standbys are used.
#include "gateway/routing/balancer.h"
#include "inference/testing/fake_endpoint.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace autoglm::gateway {
namespace {

class FirstBalancer final : public Balancer {
 public:
  std::optional<std::size_t> pick(Members members, const Eligible& eligible,
                                  const RoutingFacts& /*facts*/) override {
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (eligible(i)) return i;
    }
    return std::nullopt;
  }
};

std::unique_ptr<Balancer> make_first(std::uint64_t /*seed*/) { return std::make_unique<FirstBalancer>(); }

TEST(Extending, ABalancerPicksAmongTheMembersThatMayBeAsked) {
  FakeEndpoint endpoint("m");
  std::vector<Member> members;
  for (const char* name : {"primary", "standby"})
    members.push_back({.state = std::make_shared<cluster::MemberState>(name), .endpoint = &endpoint});
  const BalancerFactory factory = make_first;  // the line in builtins.cc
  const auto balancer = factory(1);
  const auto pick = [&] {
    return balancer->pick(members, [&](std::size_t i) { return members[i].state->enabled.load(); }, {});
  };
  EXPECT_EQ(pick(), 0U);
  members[0].state->enabled = false;
  EXPECT_EQ(pick(), 1U);
  members[1].state->enabled = false;
  EXPECT_EQ(pick(), std::nullopt);
}

}  // namespace
}  // namespace autoglm::gateway
