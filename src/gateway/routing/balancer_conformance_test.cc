// The conformance suite of Balancer, over every policy: what dispatchers rely on.
#include "base/random.h"
#include "gateway/routing/balancer.h"
#include "gateway/routing/least_connections/least_connections_balancer.h"
#include "gateway/routing/least_load/least_load_balancer.h"
#include "gateway/routing/power_of_two/power_of_two_balancer.h"
#include "gateway/routing/prefix_affinity/prefix_affinity_balancer.h"
#include "gateway/routing/round_robin/round_robin_balancer.h"
#include "inference/testing/fake_endpoint.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace autoglm::gateway {
namespace {

struct Policy {
  const char* name;
  BalancerFactory make;
};

class BalancerConformance : public ::testing::TestWithParam<Policy> {
 protected:
  void add(std::size_t count, std::uint32_t weight = 1, std::uint32_t most = 0) {
    for (std::size_t i = 0; i < count; ++i) {
      members_.push_back({.state = std::make_shared<cluster::MemberState>(std::to_string(members_.size())),
                          .endpoint = &endpoint_,
                          .weight = weight,
                          .max_connections = most});
    }
  }
  /// Every second request has a prompt long enough for a prefix.
  RoutingFacts facts(std::uint64_t number) {
    prefix_ = {number % 7, 100 + number % 14, 1000 + number};
    return {.prefix =
                number % 2 == 0 ? std::span<const std::uint64_t>(prefix_) : std::span<const std::uint64_t>(),
            .now = now_};
  }
  std::optional<std::size_t> pick(Balancer& balancer, std::uint64_t number) {
    return balancer.pick(
        members_, [this](std::size_t i) { return members_[i].state->enabled.load(); }, facts(number));
  }
  /// Checks that a pick is eligible, and that there is one while any member is eligible.
  void expect_eligible(std::optional<std::size_t> picked) {
    if (picked) {
      ASSERT_LT(*picked, members_.size());
      EXPECT_TRUE(members_[*picked].state->enabled) << *picked;
      return;
    }
    for (const Member& member : members_)
      EXPECT_FALSE(member.state->enabled) << member.name() << " was missed";
  }

  FakeEndpoint endpoint_{"m"};
  std::vector<Member> members_;
  std::vector<std::uint64_t> prefix_;
  MonotonicTime now_{Duration(std::chrono::hours(1))};
};

TEST_P(BalancerConformance, PicksOfEverySetThatMayBeAskedOneOfIt) {
  add(6);
  const auto balancer = GetParam().make(1);
  std::uint64_t number = 0;
  for (unsigned set = 0; set < 64; ++set) {
    for (std::size_t i = 0; i < 6; ++i) members_[i].state->enabled = ((set >> i) & 1U) != 0;
    for (int i = 0; i < 8; ++i) expect_eligible(pick(*balancer, number++));
  }
}

TEST_P(BalancerConformance, PicksNobodyOfNobody) {
  const auto balancer = GetParam().make(1);
  for (std::uint64_t number = 0; number < 4; ++number) EXPECT_EQ(pick(*balancer, number), std::nullopt);
}

TEST_P(BalancerConformance, TheOnlyOneIsPickedHoweverBusyItIs) {
  add(1);
  const auto balancer = GetParam().make(1);
  for (std::uint64_t number = 0; number < 100; ++number) {
    members_[0].state->in_flight = static_cast<std::uint32_t>(number * number);
    members_[0].state->reported = static_cast<std::uint32_t>(number * 1000);
    EXPECT_EQ(pick(*balancer, number), 0U);
  }
}

TEST_P(BalancerConformance, FailoverComesToEachOnce) {
  for (const std::size_t count : {2U, 5U, 100U}) {
    members_.clear();
    add(count);
    const auto balancer = GetParam().make(1);
    for (std::uint64_t number = 0; number < 6; ++number) {
      std::vector<bool> tried(count);
      for (std::size_t i = 0; i < count; ++i) {
        const auto picked =
            balancer->pick(members_, [&](std::size_t member) { return !tried[member]; }, facts(number));
        ASSERT_TRUE(picked.has_value()) << i << " of " << count;
        ASSERT_FALSE(tried.at(*picked)) << *picked << " a second time";
        tried[*picked] = true;
      }
      EXPECT_EQ(balancer->pick(members_, [](std::size_t) { return false; }, facts(number)), std::nullopt);
    }
  }
}

TEST_P(BalancerConformance, MembersComeAndGoBetweenAnyTwoPicks) {
  for (const std::size_t count : {3U, 40U, 300U}) {
    members_.clear();
    add(count);
    const auto balancer = GetParam().make(1);
    Random random(7);
    for (std::uint64_t number = 0; number < 3000; ++number) {
      cluster::MemberState& some = *members_[random.below(count)].state;
      some.enabled = random.below(3) != 0;
      some.in_flight = static_cast<std::uint32_t>(random.below(100));
      some.reported = static_cast<std::uint32_t>(random.below(100));
      some.in_flight_at_report = static_cast<std::uint32_t>(random.below(100));
      if (number % 50 == 0) {
        for (const Member& member : members_) member.state->enabled = false;  // all but one, anywhere
        members_[random.below(count)].state->enabled = true;
      }
      if (number % 10 == 0) some.health.eject(std::chrono::seconds(5), now_);
      now_ += std::chrono::milliseconds(static_cast<int>(random.below(2000)));
      expect_eligible(pick(*balancer, number));
    }
  }
}

TEST_P(BalancerConformance, TheListGrowsAndShrinksBetweenAnyTwoPicks) {
  const auto balancer = GetParam().make(1);
  const auto nobody = std::make_shared<cluster::MemberState>("");
  nobody->enabled = false;
  Random random(5);
  std::uint64_t ids = 0;
  const auto newcomer = [&] {
    return Member{.state = std::make_shared<cluster::MemberState>(std::to_string(ids)),
                  .endpoint = &endpoint_,
                  .id = {++ids}};
  };
  for (std::uint64_t number = 0; number < 5000; ++number) {
    const std::uint64_t dice = random.below(10);
    if (dice < 3) {
      for (std::size_t more = random.below(20); more > 0; --more) members_.push_back(newcomer());
    } else if (dice < 5 && !members_.empty()) {
      members_.resize(random.below(members_.size() + 1), newcomer());
    } else if (dice < 8 && !members_.empty()) {  // one leaves, and perhaps another takes its slot
      Member& some = members_[random.below(members_.size())];
      some = dice == 7 ? newcomer() : Member{.state = nobody, .endpoint = nullptr};
    }
    if (members_.size() > 200) members_.resize(3, newcomer());
    expect_eligible(pick(*balancer, number));
    ASSERT_FALSE(HasFailure()) << number;
  }
}

TEST_P(BalancerConformance, SharesFollowWeightsWhileNothingEnds) {
  for (const std::uint32_t weight : {5U, 3U, 2U}) add(1, weight);
  const auto balancer = GetParam().make(1);
  for (int i = 0; i < 1000; ++i) {
    const auto picked =
        balancer->pick(members_, [](std::size_t) { return true; }, {.prefix = {}, .now = now_});
    ASSERT_TRUE(picked.has_value());
    ASSERT_TRUE(members_[*picked].enter());
  }
  for (const Member& member : members_)
    EXPECT_NEAR(member.in_flight(), 100 * member.weight, 20) << member.name();
}

TEST_P(BalancerConformance, NobodyIsForgottenWhileAllAreIdle) {
  add(20);
  const auto balancer = GetParam().make(1);
  std::vector<int> picks(20);
  for (std::uint64_t number = 0; number < 2000; ++number) ++picks.at(pick(*balancer, 2 * number + 1).value());
  for (std::size_t i = 0; i < picks.size(); ++i) EXPECT_GT(picks[i], 0) << i;
}

TEST_P(BalancerConformance, DecidesTheSameFromTheSameSeed) {
  add(10);
  const auto one = GetParam().make(42);
  const auto same = GetParam().make(42);
  for (std::uint64_t number = 0; number < 500; ++number) {
    members_[number % 10].state->in_flight = static_cast<std::uint32_t>(number % 13);
    EXPECT_EQ(pick(*one, number), pick(*same, number)) << number;
  }
}

TEST_P(BalancerConformance, ChangesNothingOfItsMembers) {
  add(4, 2, 8);
  for (const Member& member : members_) member.state->in_flight = 3;
  const auto balancer = GetParam().make(1);
  for (std::uint64_t number = 0; number < 100; ++number) pick(*balancer, number);
  for (const Member& member : members_) EXPECT_EQ(member.in_flight(), 3U) << "whoever asks it enters it";
}

TEST_P(BalancerConformance, LoopsShareMembersAndGiveBackWhatTheyTook) {
  constexpr std::uint32_t kPlaces = 3;
  add(5, 1, kPlaces);
  std::atomic<std::uint64_t> asked{0};
  std::atomic<bool> too_many{false};
  const auto loop = [&](std::uint64_t seed) {
    const auto balancer = GetParam().make(seed);
    std::vector<std::size_t> held;
    for (std::uint64_t number = 0; number < 3000; ++number) {
      const std::array<std::uint64_t, 2> prefix = {number % 5, number};
      const auto picked = balancer->pick(members_, [&](std::size_t i) { return !members_[i].full(); },
                                         {.prefix = prefix, .now = now_});
      if (picked && members_[*picked].enter()) {
        if (members_[*picked].in_flight() > kPlaces) too_many = true;
        held.push_back(*picked);
        ++asked;
      }
      if (held.size() > 3 || (!picked && !held.empty())) {
        members_[held.back()].state->in_flight.fetch_sub(1);
        held.pop_back();
      }
    }
    for (const std::size_t member : held) members_[member].state->in_flight.fetch_sub(1);
  };
  std::vector<std::thread> loops;
  for (std::uint64_t seed = 0; seed < 4; ++seed) loops.emplace_back(loop, seed);
  for (std::thread& thread : loops) thread.join();
  EXPECT_GT(asked, 0U);
  EXPECT_FALSE(too_many);
  for (const Member& member : members_) EXPECT_EQ(member.in_flight(), 0U) << member.name();
}

INSTANTIATE_TEST_SUITE_P(
    All, BalancerConformance,
    ::testing::Values(Policy{"RoundRobin", make_round_robin},
                      Policy{"LeastConnections", make_least_connections},
                      Policy{"LeastLoad", make_least_load}, Policy{"PowerOfTwo", make_power_of_two},
                      Policy{"PrefixAffinity", make_prefix_affinity()},
                      Policy{"PrefixAffinityWithKey", make_prefix_affinity(PrefixKey("a secret of ours"))}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace autoglm::gateway
