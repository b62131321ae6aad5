#include "gateway/resilience/roster.h"

#include "base/random.h"
#include "gateway/resilience/testing/fake_factory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

namespace autoglm::gateway {
namespace {

class RosterTest : public ::testing::Test {
 protected:
  static cluster::EndpointSpec spec(std::size_t number) {
    return {.url = "http://e" + std::to_string(number) + "/v1"};
  }
  static std::vector<cluster::EndpointSpec> specs(std::size_t count) {
    std::vector<cluster::EndpointSpec> all;
    for (std::size_t i = 0; i < count; ++i) all.push_back(spec(i));
    return all;
  }
  Roster::Change apply(const cluster::Membership& membership) {
    auto change = roster_.prepare(membership).value();
    roster_.adopt(change, now_);
    return change;
  }
  Roster::Change apply(const std::vector<cluster::EndpointSpec>& all) {
    return apply(cluster::membership_of(all));
  }
  const PoolMember* at(std::size_t position) const {
    return roster_.list()->owners.at(roster_.list()->order.at(position)).member;
  }
  std::size_t made() const { return factory_.made.size(); }

  MonotonicTime now_{std::chrono::hours(1)};
  PoolConfig config_;
  observe::MetricRegistry registry_;
  EndpointRecords records_{registry_, "m"};
  FakeFactory factory_;
  Roster roster_{config_, records_, factory_};
};

TEST_F(RosterTest, OneChangeAmongTenThousandMakesOneMember) {
  cluster::Membership membership = cluster::membership_of(specs(10'000));
  apply(membership);
  ASSERT_EQ(made(), 10'000U);
  const auto before = roster_.list();
  membership.endpoints[4321] = std::make_shared<const cluster::EndpointSpec>(spec(99'999));
  const auto change = apply(membership);
  EXPECT_EQ(made(), 10'001U);
  ASSERT_EQ(change.added.size(), 1U);
  ASSERT_EQ(change.removed.size(), 1U);
  EXPECT_EQ(change.added[0]->name(), "e99999");
  EXPECT_EQ(change.removed[0]->name(), "e4321");
  const auto after = roster_.list();
  ASSERT_EQ(after->owners.size(), 10'000U);
  for (std::size_t slot = 0; slot < 10'000; ++slot)
    ASSERT_EQ(after->owners[slot].member == before->owners[slot].member, slot != 4321) << slot;
}

TEST_F(RosterTest, TheSameMembershipIsNoChange) {
  apply(specs(3));
  const auto before = roster_.list();
  const auto change = apply(specs(3));  // equal, by other objects
  EXPECT_EQ(change.list, nullptr);
  EXPECT_EQ(roster_.list(), before);
  EXPECT_EQ(made(), 3U);
}

TEST_F(RosterTest, WhatStaysKeepsItsSlotAndANewMemberTakesAnEmptyOne) {
  apply({spec(0), spec(1), spec(2)});
  const PoolMember* const last = at(2);
  apply({spec(0), spec(2)});
  EXPECT_EQ(roster_.list()->order, (std::vector<std::uint32_t>{0, 2}));
  EXPECT_EQ(at(1), last);
  EXPECT_FALSE(roster_.list()->members[1].state->enabled) << "an empty slot looks drained";
  apply({spec(7), spec(2), spec(0)});
  EXPECT_EQ(roster_.list()->order, (std::vector<std::uint32_t>{1, 2, 0})) << "as the membership lists them";
  EXPECT_TRUE(roster_.list()->empty.empty());
  apply({spec(7)});
  EXPECT_EQ(roster_.list()->members.size(), 2U) << "the end is cut off";
}

TEST_F(RosterTest, AnotherWeightKeepsTheEndpoint) {
  apply(specs(2));
  const MemberId id = roster_.list()->members[0].id;
  auto heavier = specs(2);
  heavier[0].weight = 5;
  heavier[0].max_connections = 7;
  const auto change = apply(heavier);
  EXPECT_TRUE(change.added.empty());
  EXPECT_TRUE(change.removed.empty());
  EXPECT_EQ(made(), 2U);
  const Member& member = roster_.list()->members[0];
  EXPECT_EQ(member.weight, 5U);
  EXPECT_EQ(member.max_connections, 7U);
  EXPECT_EQ(member.endpoint, factory_.made[0].get());
  EXPECT_EQ(member.id, id);
}

TEST_F(RosterTest, AnotherKeyMakesAnotherEndpointWithTheSameRecord) {
  apply(specs(2));
  const auto record = at(0)->record;
  auto other = specs(2);
  other[0].api_key = "another";
  const auto change = apply(other);
  EXPECT_EQ(made(), 3U);
  EXPECT_EQ(change.added.size(), 1U);
  EXPECT_EQ(change.removed.size(), 1U);
  EXPECT_EQ(at(0)->record, record);
  EXPECT_EQ(roster_.list()->members[0].endpoint, factory_.made[2].get());
  EXPECT_EQ(roster_.list()->members[0].id, record->id);
}

TEST_F(RosterTest, AnAddressThatIsNamedTwiceIsRefused) {
  apply(specs(3));
  for (const std::vector<cluster::EndpointSpec>& wrong :
       {std::vector{spec(0), spec(1), spec(1), spec(2)},
        {spec(0), spec(2), spec(0), spec(2)},
        {spec(0), spec(8), spec(8), spec(2)},
        {spec(0), spec(1), spec(2), {.url = "http://e0/v1/"}}}) {
    const auto change = roster_.prepare(cluster::membership_of(wrong));
    ASSERT_FALSE(change);
    EXPECT_NE(change.error().message.find("two endpoints have the address"), std::string::npos);
  }
  cluster::Membership same = cluster::membership_of(specs(3));
  apply(specs(0));
  apply(same);  // its objects are the list's
  std::swap(same.endpoints[0], same.endpoints[2]);
  same.endpoints[1] = same.endpoints[0];
  EXPECT_FALSE(roster_.prepare(same)) << "one object twice";
  EXPECT_EQ(roster_.list()->size(), 3U);
}

TEST_F(RosterTest, WhatTheFactoryRefusesChangesNothing) {
  apply(specs(2));
  const auto before = roster_.list();
  factory_.fail_with = Error{.code = ErrorCode::kInvalidArgument, .message = "no such file"};
  EXPECT_EQ(roster_.prepare(cluster::membership_of(specs(3))).error().message, "no such file");
  EXPECT_EQ(roster_.list(), before);
  records_.sweep(now_);
  EXPECT_EQ(records_.size(), 2U);
  factory_.fail_with.reset();
  apply(specs(3));
  EXPECT_EQ(roster_.list()->size(), 3U);
}

TEST_F(RosterTest, WhereMostSlotsAreEmptyTheListIsClosedUp) {
  apply(specs(300));
  std::vector<cluster::EndpointSpec> few;
  for (std::size_t i = 250; i < 300; ++i) few.push_back(spec(i));
  const PoolMember* const first = at(250);
  apply(few);
  EXPECT_EQ(roster_.list()->members.size(), 50U);
  EXPECT_EQ(at(0), first) << "moved, and the same";
  EXPECT_EQ(made(), 300U);
}

TEST_F(RosterTest, NamesAreAsShortAsTheyCanBe) {
  apply({{.url = "http://a/v1"}, {.url = "http://a/other"}, {.url = "https://a/other"}});
  EXPECT_EQ(at(0)->name(), "a");
  EXPECT_EQ(at(1)->name(), "a/other");
  EXPECT_NE(at(2)->name(), at(1)->name());
}

/// Any sequence of memberships gives the lists that they describe, and disturbs nothing that stays.
TEST_F(RosterTest, FollowsAnyMembership) {
  Random random(3);
  std::map<std::string, std::uint32_t> weights;
  std::map<std::string, const PoolMember*> before;
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::size_t> numbers(200);
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = i;
    for (std::size_t i = numbers.size(); i > 1; --i) std::swap(numbers[i - 1], numbers[random.below(i)]);
    numbers.resize(random.below(4) == 0 ? random.below(200) : std::min<std::size_t>(before.size() + 2, 200));
    std::ranges::sort(numbers.begin(), numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2));
    std::vector<cluster::EndpointSpec> all;
    for (const std::size_t number : numbers) {
      all.push_back(spec(number));
      auto& weight = weights[all.back().url];
      if (weight == 0 || random.below(50) == 0) weight = 1 + static_cast<std::uint32_t>(random.below(3));
      all.back().weight = weight;
    }
    const auto previous = roster_.list();  // keeps its members alive
    const std::size_t made_before = made();
    const auto change = apply(all);
    const MemberList& list = *roster_.list();
    ASSERT_EQ(list.size(), all.size());
    ASSERT_EQ(list.size() + list.empty.size(), list.members.size());
    ASSERT_EQ(made() - made_before, change.added.size());
    std::map<std::string, const PoolMember*> now;
    std::set<std::uint32_t> slots(list.empty.begin(), list.empty.end());
    for (std::size_t i = 0; i < all.size(); ++i) {
      ASSERT_TRUE(slots.insert(list.order[i]).second);
      ASSERT_EQ(*at(i)->spec, all[i]);
      ASSERT_EQ(list.members[list.order[i]].endpoint, &at(i)->endpoint());
      ASSERT_EQ(list.members[list.order[i]].weight, all[i].weight);
      now[all[i].url] = at(i);
      const auto was = before.find(all[i].url);
      if (was != before.end()) ASSERT_EQ(was->second->made.endpoint, at(i)->made.endpoint);
    }
    ASSERT_EQ(change.removed.size(), before.size() + change.added.size() - now.size());
    for (const auto& [url, member] : before) {
      const bool left = std::ranges::find(change.removed, member, &std::shared_ptr<PoolMember>::get) !=
                        change.removed.end();
      ASSERT_EQ(left, !now.contains(url));
    }
    before = std::move(now);
  }
}

}  // namespace
}  // namespace autoglm::gateway
