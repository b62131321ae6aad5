#include "engine/scheduler/shares/share_book.h"

#include <gtest/gtest.h>

namespace autoglm::engine {
namespace {

/// A book over 10 slots, and what its groups have.
class ShareBookTest : public ::testing::Test {
 protected:
  void use(const std::vector<GroupShare>& terms) {
    book_.change(terms, loads_);
    loads_.resize(book_.size());
  }
  GroupLoad& load(std::string_view name) { return loads_[book_.find(name)]; }
  void run(std::string_view name, std::uint32_t used, std::uint64_t owed = 0) {
    load(name).used = used;
    load(name).owed = owed;
    load(name).works = used > 0;
  }
  void want(std::string_view name, std::uint32_t need = 1) {
    load(name).need = need;
    load(name).works = true;
  }
  std::string next() {
    book_.begin(loads_);
    const auto group = book_.next(loads_);
    return group ? book_.name(*group) : "none";
  }

  ShareBook book_{10};
  std::vector<GroupLoad> loads_;
};

TEST_F(ShareBookTest, AGroupBelowItsShareGoesFirst) {
  use({{.name = "chat", .share = 0.5}, {.name = "batch"}});
  run("chat", 4);
  run("batch", 6);
  want("chat");
  want("batch");
  book_.charge(book_.find("chat"), 1000);
  EXPECT_EQ(next(), "chat") << "although it has used more";
  load("chat").used = 5;
  EXPECT_EQ(next(), "batch");
  EXPECT_FALSE(book_.is_below_share(book_.find("chat"), load("chat")));
}

TEST_F(ShareBookTest, SharesOfAllOfItLeaveASequenceToThoseWithoutOne) {
  use({{.name = "a", .share = 0.6}, {.name = "b", .share = 0.4}, {.name = "c"}});
  run("a", 6);
  run("b", 3);
  want("b");
  EXPECT_EQ(next(), "b");
  EXPECT_TRUE(book_.is_below_share(book_.find("b"), load("b")));
  run("b", 4);
  load("b").need = 0;
  run("a", 5);
  want("a");
  want("c");
  book_.charge(book_.find("a"), 100);
  EXPECT_EQ(next(), "c") << "a has what is left of its share";
  run("c", 1);
  EXPECT_FALSE(book_.is_below_share(book_.find("a"), load("a")));
  run("a", 4);
  EXPECT_EQ(next(), "a");
}

TEST_F(ShareBookTest, OfTwoBelowTheirSharesTheOneThatHasLessOfIt) {
  use({{.name = "a", .share = 0.6}, {.name = "b", .share = 0.2}});
  run("a", 2);
  run("b", 1);
  want("a");
  want("b");
  EXPECT_EQ(next(), "a");
  load("a").used = 4;
  EXPECT_EQ(next(), "b");
}

TEST_F(ShareBookTest, TheEarliestTimeGoesFirstAndCountsWhatIsStillOwed) {
  use({{.name = "a", .weight = 3}, {.name = "b", .weight = 1}});
  want("a");
  want("b");
  next();
  book_.charge(book_.find("a"), 290);
  book_.charge(book_.find("b"), 100);
  EXPECT_EQ(next(), "a");
  run("a", 1, 20);
  want("a");
  EXPECT_EQ(next(), "b");
}

TEST_F(ShareBookTest, AGroupAtItsMaximumWaits) {
  use({{.name = "a", .max = 0.45}, {.name = "b"}});
  run("a", 3);
  want("a");
  EXPECT_EQ(next(), "a");
  load("a").used = 4;  // of 4.5
  EXPECT_EQ(next(), "none");
  EXPECT_TRUE(book_.is_at_max(book_.find("a"), load("a")));
  load("a").need = 7;
  load("a").used = 0;
  EXPECT_EQ(next(), "a") << "larger than its maximum: alone, or never";
}

TEST_F(ShareBookTest, TakesFromTheGroupFurthestAboveAndNeverFromOneWithinItsShare) {
  use({{.name = "chat", .share = 0.3}, {.name = "a", .share = 0.5}, {.name = "b"}, {.name = "c"}});
  run("a", 5);
  run("b", 2);
  run("c", 3);
  want("chat");
  book_.begin(loads_);
  EXPECT_EQ(book_.furthest_above(loads_, book_.find("chat")), book_.find("c"));
  run("b", 0);
  run("c", 0);
  EXPECT_EQ(book_.furthest_above(loads_, book_.find("chat")), std::nullopt);
  run("a", 6);
  EXPECT_EQ(book_.furthest_above(loads_, book_.find("chat")), book_.find("a"));
  EXPECT_EQ(book_.excess(book_.find("a"), load("a")), 1U);
}

TEST_F(ShareBookTest, IdleTimeEarnsNoCredit) {
  use({{.name = "a"}, {.name = "b"}});
  run("a", 1);
  want("a");
  next();
  book_.charge(book_.find("a"), 1'000'000);
  std::vector<bool> unserved(book_.size());
  unserved[book_.find("a")] = true;
  book_.settle(unserved);
  want("b");
  next();
  EXPECT_EQ(book_.time(book_.find("b")), book_.time(book_.find("a")));
}

TEST_F(ShareBookTest, WhoIsAheadStaysAhead) {
  use({{.name = "a"}, {.name = "b"}});
  want("a");
  want("b");
  next();
  book_.charge(book_.find("a"), 100);
  std::vector<bool> unserved(book_.size());
  unserved[book_.find("b")] = true;
  book_.settle(unserved);
  EXPECT_GT(book_.time(book_.find("a")), book_.time(book_.find("b")));
}

TEST_F(ShareBookTest, WhoWaitsForSequencesIsOwedAFewStepsAndNoMore) {
  use({{.name = "a"}, {.name = "b"}});
  run("a", 10);
  want("b");
  next();
  std::vector<bool> unserved(book_.size());
  unserved[book_.find("b")] = true;
  for (int i = 0; i < 1000; ++i) {
    book_.charge(book_.find("a"), 100);
    book_.settle(unserved);
  }
  const double ahead = book_.time(book_.find("a")) - book_.time(book_.find("b"));
  EXPECT_GT(ahead, ShareBook::kMostCredit);
  EXPECT_LE(ahead, 4.1 * ShareBook::kMostCredit) << "each has half of the engine";
}

TEST_F(ShareBookTest, AGroupWithASmallPartDoesNotGetMoreForItsLeaps) {
  use({{.name = "a", .weight = 99}, {.name = "b", .weight = 1}});
  want("a");
  want("b");
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  const std::vector<bool> unserved(book_.size(), true);
  for (int i = 0; i < 10'000; ++i) {
    (next() == "a" ? a : b) += 200;
    book_.charge(*book_.next(loads_), 200);
    book_.settle(unserved);
  }
  EXPECT_NEAR(static_cast<double>(a) / static_cast<double>(b), 99, 5);
}

TEST_F(ShareBookTest, TheMaximumIsForTheWholeOfTheNextRequest) {
  use({{.name = "a", .max = 0.4}, {.name = "b"}});
  run("a", 3);
  want("a", 2);
  EXPECT_TRUE(book_.is_at_max(book_.find("a"), load("a")));
  want("a", 1);
  EXPECT_FALSE(book_.is_at_max(book_.find("a"), load("a")));
}

TEST_F(ShareBookTest, TermsChangeAndNumbersAreUsedAgain) {
  use({{.name = "a", .share = 0.5}, {.name = "b"}});
  const GroupIndex a = book_.find("a");
  run("a", 3);
  use({{.name = "b", .share = 0.5}, {.name = "c"}});
  EXPECT_EQ(book_.find("a"), kNoGroup);
  EXPECT_EQ(book_.name(a), "a") << "it still works";
  EXPECT_FALSE(book_.is_below_share(a, {.used = 0, .need = 1}));
  EXPECT_EQ(book_.size(), 4U);
  loads_[a] = {};
  use({{.name = "b"}, {.name = "c"}, {.name = "d"}});
  EXPECT_EQ(book_.find("d"), a);
  EXPECT_EQ(book_.size(), 4U);
}

TEST_F(ShareBookTest, DividesNothingOnceTheLastGroupIsGoneAndHasEnded) {
  EXPECT_FALSE(book_.divides());
  use({{.name = "a"}});
  EXPECT_TRUE(book_.divides());
  run("a", 1);
  const GroupIndex a = book_.find("a");
  next();
  use({});
  EXPECT_TRUE(book_.divides()) << "it still works";
  loads_[a] = {};
  book_.begin(loads_);
  EXPECT_FALSE(book_.divides());
}

TEST_F(ShareBookTest, ANewGroupBeginsWhereTheOthersAre) {
  use({{.name = "a"}});
  want("a");
  next();
  book_.charge(book_.find("a"), 5000);
  use({{.name = "a"}, {.name = "b"}});
  EXPECT_EQ(book_.time(book_.find("b")), book_.time(book_.find("a")));
}

}  // namespace
}  // namespace autoglm::engine
