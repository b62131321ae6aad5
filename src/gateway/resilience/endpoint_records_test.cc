#include "gateway/resilience/endpoint_records.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

class EndpointRecordsTest : public ::testing::Test {
 protected:
  static http::Url url(std::size_t number) {
    return http::Url::parse("http://10.0." + std::to_string(number / 250) + "." +
                            std::to_string(number % 250) + ":80/v1")
        .value();
  }
  static std::string name(std::size_t number) { return url(number).authority(); }
  std::shared_ptr<EndpointRecord> of(std::size_t number) { return records_.of(url(number), {}); }
  bool joins(std::size_t number) {
    of(number);
    return records_.joins(address_of(url(number)));
  }
  void leaves(std::size_t number) { records_.leaves(address_of(url(number)), now_ += 1ms); }
  void sweep() { records_.sweep(now_); }

  /// The value of that endpoint's successes; -1: there is no series.
  long long successes(const std::string& endpoint) const {
    const std::string text = registry_.serialize();
    const std::string series =
        "\nautoglm_endpoint_attempts_total{model=\"m\",endpoint=\"" + endpoint + "\",outcome=\"ok\"} ";
    const std::size_t at = text.find(series);
    return at == std::string::npos ? -1 : std::stoll(text.substr(at + series.size()));
  }
  std::size_t lines() const {
    return static_cast<std::size_t>(std::ranges::count(registry_.serialize(), '\n'));
  }
  bool has_gauges(std::size_t number) const {
    return registry_.serialize().contains("autoglm_endpoint_healthy{model=\"m\",endpoint=\"" + name(number) +
                                          '"');
  }

  MonotonicTime now_{1h};
  observe::MetricRegistry registry_;
  EndpointRecords records_{registry_, "m"};
};

TEST_F(EndpointRecordsTest, ARecordIsKeptForAWhileAfterItsEndpointLeft) {
  records_.keep_for(1min);
  EXPECT_FALSE(joins(1));
  of(1)->breaker.try_acquire(now_)->failure(now_);
  of(1)->count(Outcome::kOk);
  leaves(1);
  now_ += 59s;
  sweep();
  EXPECT_TRUE(joins(1)) << "it was away";
  EXPECT_EQ(of(1)->attempts[0].value(), 1U);
  leaves(1);
  now_ += 1min;
  sweep();
  EXPECT_EQ(records_.size(), 0U);
  EXPECT_FALSE(joins(1)) << "another one, for all that is known";
  EXPECT_EQ(of(1)->attempts[0].value(), 0U);
}

TEST_F(EndpointRecordsTest, ARecordThatARequestUsesOutlivesItsTime) {
  joins(1);
  const auto used = of(1);
  leaves(1);
  now_ += 24h;
  sweep();
  EXPECT_EQ(of(1), used);
}

TEST_F(EndpointRecordsTest, OneThatTwoPoolsNameIsAwayWhenBothHaveLetItGo) {
  joins(1);
  EXPECT_FALSE(joins(1));
  leaves(1);
  EXPECT_FALSE(joins(1));
  leaves(1);
  leaves(1);
  EXPECT_TRUE(joins(1));
}

TEST_F(EndpointRecordsTest, OfThoseThatLeftTheLastAreKept) {
  constexpr std::size_t kAll = EndpointRecords::kKept + 3;
  for (std::size_t i = 0; i < kAll; ++i) joins(i);
  for (std::size_t i = 0; i < kAll; ++i) leaves(i);
  sweep();
  EXPECT_EQ(records_.size(), EndpointRecords::kKept);
  EXPECT_FALSE(joins(2));
  EXPECT_TRUE(joins(3));
}

TEST_F(EndpointRecordsTest, MetricsStayBoundedAndNameTheLiveOnesWhileThousandsComeAndGo) {
  constexpr std::size_t kLive = 100;
  for (std::size_t i = 0; i < 5000; ++i) {
    joins(i);
    of(i)->count(Outcome::kOk);
    if (i >= kLive) leaves(i - kLive);
    if (i % 50 == 0) sweep();
  }
  // Counters of those that are remembered, so that a scrape sees their last counts; gauges of members.
  EXPECT_LT(lines(), EndpointRecords::kNamed * (kOutcomes + 1) + kLive * 4 + 100);
  for (std::size_t i = 5000 - kLive; i < 5000; ++i) {
    ASSERT_EQ(successes(name(i)), 1) << i;
    ASSERT_TRUE(has_gauges(i)) << i;
  }
  EXPECT_EQ(successes("other"), -1) << "none was without series of its own";
  EXPECT_FALSE(has_gauges(5000 - kLive - 1)) << "it left: nothing to alert on";
  EXPECT_EQ(successes(name(0)), -1);
  now_ += 1h;
  sweep();
  EXPECT_EQ(records_.size(), kLive);
  EXPECT_LT(lines(), kLive * (kOutcomes + 1 + 4) + 100);
}

TEST_F(EndpointRecordsTest, WhatOthersShareNeverFalls) {
  constexpr std::size_t kMost = EndpointRecords::kNamed;
  for (std::size_t i = 0; i < kMost + 2; ++i) {
    joins(i);
    of(i)->count(Outcome::kOk);
  }
  EXPECT_EQ(successes(name(kMost - 1)), 1);
  EXPECT_EQ(successes(name(kMost)), -1);
  EXPECT_EQ(successes("other"), 2);
  leaves(0);
  now_ += 1h;
  sweep();  // series are free: one of the others has its own from now on
  of(kMost)->count(Outcome::kOk);
  of(kMost + 1)->count(Outcome::kOk);
  EXPECT_EQ(successes(name(kMost)), 1);
  EXPECT_EQ(successes("other"), 3);
  leaves(kMost + 1);
  now_ += 1h;
  sweep();
  EXPECT_EQ(successes("other"), 3) << "it is forgotten, and what it has counted is not";
  leaves(1);
  joins(kMost + 7);
  EXPECT_EQ(successes(name(kMost + 7)), 0) << "a member has series before one that left";
  EXPECT_EQ(successes(name(1)), -1);
  EXPECT_EQ(successes("other"), 3);
}

}  // namespace
}  // namespace autoglm::gateway
