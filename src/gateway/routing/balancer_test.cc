#include "gateway/routing/balancer.h"

#include "base/random.h"
#include "gateway/routing/least_connections/least_connections_balancer.h"
#include "gateway/routing/least_load/least_load_balancer.h"
#include "gateway/routing/power_of_two/power_of_two_balancer.h"
#include "gateway/routing/prefix_affinity/prefix_affinity_balancer.h"
#include "gateway/routing/round_robin/round_robin_balancer.h"
#include "inference/testing/fake_endpoint.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::gateway {
namespace {

class BalancerTest : public ::testing::Test {
 protected:
  void add(std::uint32_t weight = 1, std::uint32_t in_flight = 0) {
    endpoints_.push_back(std::make_unique<FakeEndpoint>("m"));
    const std::string name(1, static_cast<char>('a' + members.size()));
    members.push_back({.state = std::make_shared<cluster::MemberState>(name),
                       .endpoint = endpoints_.back().get(),
                       .weight = weight});
    members.back().state->in_flight = in_flight;
  }
  std::optional<std::size_t> pick(Balancer& balancer, std::span<const std::uint64_t> prefix = {}) {
    return balancer.pick(members, [this](std::size_t i) { return members[i].state->enabled.load(); },
                         {.prefix = prefix, .now = now});
  }
  std::string sequence(Balancer& balancer, std::size_t count) {
    std::string names;
    for (std::size_t i = 0; i < count; ++i) names += members[pick(balancer).value()].name();
    return names;
  }
  std::vector<std::size_t> counts(Balancer& balancer, std::size_t picks) {
    std::vector<std::size_t> count(members.size());
    for (std::size_t i = 0; i < picks; ++i) ++count[pick(balancer).value()];
    return count;
  }

  std::vector<std::unique_ptr<FakeEndpoint>> endpoints_;
  std::vector<Member> members;
  MonotonicTime now{Duration(std::chrono::hours(1))};
};

TEST_F(BalancerTest, RoundRobinIsNginxsSmoothSequence) {
  add(5);
  add(1);
  add(1);
  RoundRobinBalancer balancer;
  EXPECT_EQ(sequence(balancer, 14), "aabacaaaabacaa");
}

TEST_F(BalancerTest, RoundRobinKeepsExactSharesWhileMembersComeAndGo) {
  add(3);
  add(2);
  add(1);
  RoundRobinBalancer balancer;
  EXPECT_EQ(counts(balancer, 600), (std::vector<std::size_t>{300, 200, 100}));
  members[0].state->enabled = false;
  EXPECT_EQ(counts(balancer, 300), (std::vector<std::size_t>{0, 200, 100}));
}

TEST_F(BalancerTest, WhoComesBackGetsATenthOfItsShareAtFirst) {
  add();
  add();
  for (auto& member : members) member.slow_start = std::chrono::seconds(10);
  members[0].state->health.eject(std::chrono::seconds(30), now);
  now += std::chrono::seconds(30);
  RoundRobinBalancer turns;
  EXPECT_EQ(counts(turns, 1100), (std::vector<std::size_t>{100, 1000}));
  LeastConnectionsBalancer least;
  members[1].state->in_flight = 9;
  members[0].state->in_flight = 1;
  EXPECT_EQ(pick(least), 1U) << "1 at a tenth weighs 10";
  now += std::chrono::seconds(10);
  EXPECT_EQ(pick(least), 0U);
}

TEST_F(BalancerTest, LeastConnectionsCountsByWeight) {
  add(1, 2);
  add(3, 5);  // 5/3 is the least
  add(2, 4);
  LeastConnectionsBalancer balancer;
  EXPECT_EQ(pick(balancer), 1U);
  members[1].state->in_flight = 6;  // now all are equal: turns, by weight
  LeastConnectionsBalancer fresh;
  EXPECT_EQ(counts(fresh, 600), (std::vector<std::size_t>{100, 300, 200}));
}

TEST_F(BalancerTest, LeastConnectionsOfManyIsTheLeastOfAll) {
  Random random(11);
  for (int i = 0; i < 1000; ++i)
    add(1 + static_cast<std::uint32_t>(random.below(4)), static_cast<std::uint32_t>(random.below(50)));
  LeastConnectionsBalancer balancer;
  const auto of = [&](std::size_t i) { return double(members[i].in_flight()) / members[i].weight; };
  const auto least = [&] {
    double least = 1e9;
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (members[i].state->enabled) least = std::min(least, of(i));
    }
    return least;
  };
  for (int i = 0; i < 20'000; ++i) {
    const std::size_t picked = pick(balancer).value();
    ASSERT_TRUE(members[picked].state->enabled);
    ASSERT_EQ(of(picked), least());
    ++members[picked].state->in_flight;  // as the caller does
    if (i % 500 == 0) members[random.below(1000)].state->enabled = false;
  }
}

TEST_F(BalancerTest, LeastConnectionsNoticesWhatOtherLoopsDoAmongMany) {
  for (int i = 0; i < 1000; ++i) add(1, 5);
  LeastConnectionsBalancer balancer;
  pick(balancer);
  members[700].state->in_flight = 0;  // another loop's requests ended
  std::size_t picks = 1;
  while (pick(balancer) != 700U) ++picks;
  EXPECT_LE(picks, 1000 / Lightest::kLookedAt + 1);
  for (auto& member : members) member.state->in_flight = 9;  // and many began
  members[3].state->in_flight = 8;
  for (int i = 0; i < 50; ++i) pick(balancer);
  EXPECT_EQ(pick(balancer), 3U);
  for (auto& member : members) member.state->enabled = false;
  EXPECT_EQ(pick(balancer), std::nullopt);
  members[999].state->enabled = true;
  EXPECT_EQ(pick(balancer), 999U) << "nobody is missed when there is nobody else";
}

TEST_F(BalancerTest, LeastLoadBelievesReportsAndCountsWhatWasSentSince) {
  add();
  add();
  members[0].state->reported = 5;
  members[1].state->reported = 1;
  LeastLoadBalancer balancer;
  EXPECT_EQ(pick(balancer), 1U);
  members[1].state->in_flight_at_report = 1;
  members[1].state->in_flight = 6;  // five since
  EXPECT_EQ(pick(balancer), 0U);
}

TEST_F(BalancerTest, PowerOfTwoDrawsEvenlyAndAvoidsTheLoaded) {
  for (int i = 0; i < 10; ++i) add();
  PowerOfTwoBalancer balancer(7);
  const auto even = counts(balancer, 20'000);
  double chi_square = 0;
  for (const std::size_t count : even)
    chi_square += (static_cast<double>(count) - 2000) * (static_cast<double>(count) - 2000) / 2000;
  EXPECT_LT(chi_square, 27.9) << "nine degrees of freedom, p = 0.001";
  members[3].state->in_flight = 100;
  // It would win only if it were drawn twice, which cannot be: two different members are compared.
  EXPECT_EQ(counts(balancer, 5'000)[3], 0U);
}

TEST_F(BalancerTest, PrefixAffinityFollowsTheLongestPrefixItHasSeen) {
  for (int i = 0; i < 8; ++i) add();
  PrefixAffinityBalancer balancer;
  const std::vector<std::uint64_t> first = {11, 12, 13};
  const std::vector<std::uint64_t> longer = {11, 12, 13, 14, 15};
  const std::vector<std::uint64_t> other = {11, 22, 23};
  const auto home = pick(balancer, first);
  EXPECT_EQ(pick(balancer, longer), home);
  EXPECT_EQ(pick(balancer, other), home);
  PrefixAffinityBalancer another_loop;
  EXPECT_EQ(pick(another_loop, first), home) << "loops agree about what is new";
  members[*home].state->enabled = false;
  const auto stand_in = pick(balancer, longer);
  EXPECT_NE(stand_in, home);
  members[*home].state->enabled = true;
  EXPECT_EQ(pick(balancer, longer), stand_in) << "who computed it last has it";
}

TEST_F(BalancerTest, PrefixAffinityBelievesWhoSaysToHaveReadIt) {
  for (int i = 0; i < 8; ++i) add();
  const std::vector<std::uint64_t> prompt = {11, 12, 13, 14, 15};
  const PrefixKey key("a secret of ours");
  PrefixAffinityBalancer fresh(key);
  const std::size_t drawn = pick(fresh, prompt).value();
  const std::size_t half = (drawn + 1) % 8;
  const std::size_t most = (drawn + 2) % 8;
  endpoints_[half]->current_prefixes = std::make_shared<const PrefixSet>(key.seal(PrefixSet{11, 12}));
  endpoints_[most]->current_prefixes = std::make_shared<const PrefixSet>(key.seal(PrefixSet{11, 12, 14}));
  PrefixAffinityBalancer balancer(key);
  EXPECT_EQ(pick(balancer, prompt), most);
  PrefixAffinityBalancer stranger(PrefixKey("another secret"));
  EXPECT_EQ(pick(stranger, prompt), drawn);
  PrefixAffinityBalancer keyless;
  EXPECT_EQ(pick(keyless, prompt), drawn);
  PrefixAffinityBalancer without(key);
  members[most].state->enabled = false;
  EXPECT_EQ(pick(without, prompt), half);
}

TEST_F(BalancerTest, PrefixAffinityForgetsAMemberWhoseSlotAnotherTook) {
  for (std::uint64_t i = 0; i < 8; ++i) {
    add();
    members.back().id = {i + 1};
  }
  PrefixAffinityBalancer balancer;
  const std::vector<std::uint64_t> prompt = {11, 12, 13};
  const std::size_t home = pick(balancer, prompt).value();
  members[home].state->enabled = false;
  const std::size_t stand_in = pick(balancer, prompt).value();
  members[home].state->enabled = true;
  members[(stand_in + 1) % 8 == home ? (stand_in + 2) % 8 : (stand_in + 1) % 8].id = {98};
  EXPECT_EQ(pick(balancer, prompt), stand_in) << "another slot's change is not its own";
  members[stand_in].id = {99};
  EXPECT_EQ(pick(balancer, prompt), home) << "the new one has read nothing";
}

TEST_F(BalancerTest, LeastConnectionsKeepsItsPicksExactWhileTheListChanges) {
  for (int i = 0; i < 6; ++i) add(1, 5);
  LeastConnectionsBalancer balancer;
  members[2].state->in_flight = 1;
  EXPECT_EQ(pick(balancer), 2U);
  for (int i = 0; i < 20; ++i) add(1, 5);
  members[25].state->in_flight = 0;
  EXPECT_EQ(pick(balancer), 25U);
  members.resize(4, members.front());
  EXPECT_EQ(pick(balancer), 2U) << "who is behind the end is not picked";
}

TEST_F(BalancerTest, PrefixAffinityMakesNoHotSpot) {
  for (int i = 0; i < 4; ++i) add();
  PrefixAffinityBalancer balancer;
  const std::vector<std::uint64_t> popular = {42};
  for (int i = 0; i < 100; ++i) ++members[pick(balancer, popular).value()].state->in_flight;
  for (const auto& member : members)
    EXPECT_LE(member.in_flight(), 32U) << "a quarter more than 25, rounded up";
}

}  // namespace
}  // namespace autoglm::gateway
