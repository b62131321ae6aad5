#include "cluster/discovery/member_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace autoglm::cluster {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class MemberGuardTest : public ::testing::Test {
 protected:
  static std::vector<MemberGuard::Spec> specs(const std::vector<std::string>& urls) {
    std::vector<MemberGuard::Spec> all;
    for (const std::string& url : urls)
      all.push_back(std::make_shared<const EndpointSpec>(EndpointSpec{.url = url}));
    return all;
  }
  bool offer(const std::vector<std::string>& urls) { return guard_.offer(specs(urls), now_); }
  bool release() {
    return guard_.release(now_, [&](const EndpointSpec& spec) { return well_.contains(spec.url); });
  }
  std::vector<std::string> urls() const {
    std::vector<std::string> all;
    for (const auto& member : guard_.members()) all.push_back(member->url);
    return all;
  }

  MonotonicTime now_{1h};
  MemberGuard guard_{{.max_shrink_percent = 50, .hold = 30s}};
  std::set<std::string> well_;
};

TEST_F(MemberGuardTest, BelievesAtOnceWhatIsNewAndThatAFewLeave) {
  EXPECT_TRUE(offer({"a", "b"}));
  EXPECT_TRUE(offer({"b", "a", "c", "d"}));
  EXPECT_THAT(urls(), ElementsAre("b", "a", "c", "d"));
  EXPECT_TRUE(offer({"a", "d"})) << "half of them";
  EXPECT_THAT(urls(), ElementsAre("a", "d"));
  EXPECT_FALSE(offer({"a", "d"}));
  EXPECT_EQ(guard_.held(), 0U);
}

TEST_F(MemberGuardTest, HoldsAListThatBecomesEmpty) {
  offer({"a", "b"});
  now_ += 1h;  // a list that says nothing new is in force all the same
  EXPECT_FALSE(offer({})) << "nothing has changed yet";
  EXPECT_THAT(urls(), ElementsAre("a", "b"));
  EXPECT_EQ(guard_.release_at(), now_ + 30s);
  now_ += 29s;
  EXPECT_FALSE(release());
  now_ += 1s;
  EXPECT_TRUE(release()) << "our own checks agree";
  EXPECT_THAT(urls(), IsEmpty());
  EXPECT_EQ(guard_.release_at(), std::nullopt);
}

TEST_F(MemberGuardTest, KeepsWhoIsWellForAsLongAsItIs) {
  offer({"a", "b"});
  offer({});
  well_ = {"a"};
  now_ += 30s;
  EXPECT_TRUE(release());
  EXPECT_THAT(urls(), ElementsAre("a"));
  EXPECT_EQ(guard_.release_at(), now_ + 1s) << "it is looked at again";
  now_ += 10min;
  EXPECT_FALSE(release());
  well_.clear();
  now_ += 1s;
  EXPECT_TRUE(release());
  EXPECT_THAT(urls(), IsEmpty());
}

TEST_F(MemberGuardTest, AListThatIsLongAgainIsBelievedAfterTheHold) {
  offer({"a", "b", "c", "d"});
  offer({"a"});
  EXPECT_EQ(guard_.held(), 3U);
  now_ += 10s;
  offer({"a", "b", "c"});
  EXPECT_THAT(urls(), ElementsAre("a", "b", "c", "d")) << "the registry is only just coming back";
  EXPECT_EQ(guard_.held(), 1U);
  well_ = {"d"};
  now_ += 20s;
  EXPECT_TRUE(release());
  EXPECT_THAT(urls(), ElementsAre("a", "b", "c")) << "it has left, however well it is";
  offer({});
  EXPECT_EQ(guard_.release_at(), now_ + 30s) << "a new hold begins anew";
}

TEST_F(MemberGuardTest, ARegistryThatForgetsOneAfterTheOtherIsHeldToo) {
  offer({"a", "b", "c", "d", "e", "f"});
  offer({"a", "b", "c", "d"});
  EXPECT_EQ(urls().size(), 4U);
  for (const auto& list : std::vector<std::vector<std::string>>{{"a", "b"}, {"a"}, {}}) {
    now_ += 1s;
    offer(list);
    EXPECT_EQ(urls().size(), 4U);
  }
}

TEST_F(MemberGuardTest, AFleetThatShrinksSlowlyIsFollowed) {
  std::vector<std::string> list = {"a", "b", "c", "d", "e", "f"};
  offer(list);
  while (list.size() > 1) {
    now_ += 31s;
    list.pop_back();
    offer(list);
    EXPECT_EQ(urls().size(), list.size());
  }
}

TEST_F(MemberGuardTest, AFleetThatIsReplacedIsFollowed) {
  offer({"a", "b"});
  offer({"c", "d"});
  EXPECT_THAT(urls(), ElementsAre("c", "d"));
}

TEST_F(MemberGuardTest, WhoIsHeldAlreadyKeepsItsTime) {
  offer({"a", "b"});
  offer({});
  now_ += 20s;
  offer({"c"});
  EXPECT_THAT(urls(), ElementsAre("c", "a", "b"));
  now_ += 10s;
  EXPECT_TRUE(release());
  EXPECT_THAT(urls(), ElementsAre("c"));
}

TEST_F(MemberGuardTest, NewMembersCountWhileOthersAreHeld) {
  offer({"a", "b", "c"});
  EXPECT_TRUE(offer({"d"}));
  EXPECT_THAT(urls(), ElementsAre("d", "a", "b", "c"));
}

TEST_F(MemberGuardTest, AShareOfAHundredHoldsNothing) {
  MemberGuard guard({.max_shrink_percent = 100});
  guard.offer(specs({"a", "b"}), now_);
  guard.offer({}, now_);
  EXPECT_THAT(guard.members(), IsEmpty());
}

TEST_F(MemberGuardTest, KeepsTheObjectsOfSpecsThatAreTheSame) {
  offer({"a", "b"});
  const auto before = guard_.members();
  EXPECT_FALSE(offer({"a", "b"}));
  EXPECT_EQ(guard_.members(), before);
  auto changed = specs({"a", "b"});
  changed[1] = std::make_shared<const EndpointSpec>(EndpointSpec{.url = "b", .weight = 2});
  EXPECT_TRUE(guard_.offer(changed, now_));
  EXPECT_EQ(guard_.members()[0], before[0]);
  EXPECT_EQ(guard_.members()[1]->weight, 2U);
}

TEST_F(MemberGuardTest, OfTwoWithOneUrlTheFirstCounts) {
  offer({"a", "a", "b"});
  EXPECT_THAT(urls(), ElementsAre("a", "b"));
}

// Lists of all kinds, in any order of time: nobody who is listed is missing, and nobody leaves early.
TEST_F(MemberGuardTest, NeverLosesWhoIsListedNorWhoIsWell) {
  std::uint64_t random = 1;
  const auto draw = [&](std::uint64_t below) {
    return (random = random * 6364136223846793005U + 1442695040888963407U) >> 33U ? (random >> 33U) % below
                                                                                  : 0;
  };
  std::vector<std::pair<MonotonicTime, std::size_t>> lengths;
  for (int round = 0; round < 20'000; ++round) {
    now_ += std::chrono::milliseconds(draw(8000));
    std::vector<std::string> listed;
    for (int i = 0; i < 8; ++i)
      if (draw(3) != 0) listed.push_back(std::string(1, static_cast<char>('a' + i)));
    if (draw(6) == 0) listed.clear();
    const auto before = urls();
    std::size_t longest = 0;
    for (const auto& [at, length] : lengths)
      if (now_ - at <= 30s || &length == &lengths.back().second) longest = std::max(longest, length);
    lengths.emplace_back(now_, listed.size());
    if (lengths.size() > 100) lengths.erase(lengths.begin());
    well_.clear();
    for (const std::string& each : listed)
      if (draw(2) == 0) well_.insert(each);
    offer(listed);
    for (const std::string& each : listed) EXPECT_THAT(urls(), ::testing::Contains(each));
    if (listed.size() * 2 < longest)
      for (const std::string& each : before)
        EXPECT_THAT(urls(), ::testing::Contains(each)) << "the list is too short";
    release();
    for (const std::string& each : listed) EXPECT_THAT(urls(), ::testing::Contains(each));
  }
}

}  // namespace
}  // namespace autoglm::cluster
