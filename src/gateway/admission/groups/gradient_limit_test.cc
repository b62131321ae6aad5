#include "gateway/admission/groups/gradient_limit.h"

#include "gateway/admission/groups/fair_line.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <unordered_map>
#include <vector>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

/// A server that computes a batch of at most `slots` requests step by step, behind a queue without end, and a
/// gateway in front of it: a bounded line and a limit. Requests come at random; each counts as good when its
/// first token comes within five seconds.
class World {
 public:
  struct Outcome {
    double good = 0;        ///< a second
    double mean_limit = 0;  ///< of the last half
    std::size_t most_waiting = 0;
  };

  World(std::uint64_t seed, bool adaptive, double speed = 1)
      : random_(seed), adaptive_(adaptive), speed_(speed) {}

  /// Requests come at `rate` a second for so long.
  Outcome run(double rate, Duration time) {
    Outcome outcome;
    const MonotonicTime end = now_ + time;
    std::exponential_distribution<double> gap(rate);
    MonotonicTime next = now_ + seconds(gap(random_));
    std::uint64_t good_before = good_;
    double limits = 0;
    int looks = 0;
    while (now_ < end) {
      for (; next <= now_; next += seconds(gap(random_))) come(next);
      step();
      outcome.most_waiting = std::max(outcome.most_waiting, line_.waiting());
      if (end - now_ < time / 2) {
        limits += limit_.limit();
        ++looks;
      }
    }
    outcome.good = static_cast<double>(good_ - good_before) / to_seconds(time);
    outcome.mean_limit = limits / std::max(looks, 1);
    return outcome;
  }
  void speed(double speed) { speed_ = speed; }
  Duration worst_first_token() { return std::exchange(worst_, Duration::zero()); }

 private:
  static constexpr std::size_t kSlots = 24;
  static constexpr Duration kPatience = 5s;
  static constexpr Duration kQueueTime = 3s;
  struct Request {
    MonotonicTime came;
    MonotonicTime placed;
    std::uint32_t prompt;
    std::uint32_t unread;
    std::uint32_t left;
    std::uint32_t in_flight = 0;
  };

  static Duration seconds(double count) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(count));
  }
  void come(MonotonicTime at) {
    const auto prompt = static_cast<std::uint32_t>(50 + random_() % 400);
    const Request request{.came = at,
                          .placed = at,
                          .prompt = prompt,
                          .unread = prompt,
                          .left = static_cast<std::uint32_t>(20 + random_() % 160)};
    if (!adaptive_) {
      queue_.push_back(request);
      ++in_flight_;
      return;
    }
    const auto joined = line_.join("t", 0, prompt, at);
    if (joined.key) waiting_.emplace(*joined.key, request);
  }
  void admit() {
    while (in_flight_ < limit_.limit()) {
      const auto key = line_.next(now_);
      if (!key) return;
      Request request = waiting_.at(*key);
      waiting_.erase(*key);
      if (now_ - request.came > kQueueTime) continue;  // its time is up
      request.placed = now_;
      request.in_flight = static_cast<std::uint32_t>(++in_flight_);
      queue_.push_back(request);
    }
  }
  void step() {
    if (adaptive_) admit();
    while (running_.size() < kSlots && !queue_.empty()) {
      running_.push_back(queue_.front());
      queue_.pop_front();
    }
    std::uint32_t decoded = 0;
    std::uint32_t read = 0;
    std::vector<Request*> first;
    for (Request& request : running_) {
      if (request.unread == 0) {
        ++decoded;
        --request.left;
      } else if (read < 512) {
        const std::uint32_t part = std::min(request.unread, 512 - read);
        read += part;
        request.unread -= part;
        if (request.unread == 0) first.push_back(&request);
      }
    }
    now_ += seconds((decoded + read == 0 ? 0.005 : 0.01 + 0.0004 * decoded + 0.0001 * read) / speed_);
    for (const Request* request : first) {
      if (now_ - request->came <= kPatience) ++good_;
      worst_ = std::max(worst_, now_ - request->came);
      limit_.observe(
          {.took = now_ - request->placed, .prompt_tokens = request->prompt, .in_flight = request->in_flight},
          now_);
    }
    in_flight_ -= std::erase_if(running_, [](const Request& each) { return each.left == 0; });
  }

  std::mt19937_64 random_;
  bool adaptive_;
  double speed_;
  MonotonicTime now_{};
  GradientLimit limit_;
  FairLine line_{256, 1s};
  std::unordered_map<FairLine::Key, Request> waiting_;
  std::deque<Request> queue_;
  std::vector<Request> running_;
  std::size_t in_flight_ = 0;
  std::uint64_t good_ = 0;
  Duration worst_{};
};

constexpr double kCapacity = 9.5;  // requests a second that the server answers at most

TEST(GradientLimit, FindsTheKneeOfAServerUnderOverload) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    World world(seed, true);
    world.run(4 * kCapacity, 60s);
    const auto outcome = world.run(4 * kCapacity, 240s);
    EXPECT_GE(outcome.mean_limit, 21) << "seed " << seed;
    EXPECT_LE(outcome.mean_limit, 30) << "seed " << seed << ": the server computes 24 at once";
  }
}

TEST(GradientLimit, AdmissionGoesOnWhileTheBestTimeIsMeasured) {
  GradientLimit limit({.least = 4, .most = 100});
  MonotonicTime now{};
  std::uint32_t running = 0;
  std::uint32_t without = 0;  // departures since one was admitted
  std::uint32_t longest = 0;
  std::uint32_t lowest = 100;  // after it has become 100
  bool full = false;
  for (int i = 0; i < 6000; ++i) {
    now += 100ms;
    if (running > 0) --running;
    longest = std::max(longest, ++without);
    while (running < limit.limit()) {
      ++running;
      without = 0;
      limit.observe({.took = i < 100 ? 100ms : 110ms, .prompt_tokens = 100, .in_flight = running}, now);
    }
    full |= limit.limit() == 100;
    if (full) lowest = std::min(lowest, limit.limit());
  }
  EXPECT_EQ(lowest, 75U) << "it was measured";
  EXPECT_LE(longest, 3U);
}

TEST(GradientLimit, GoodputHoldsUnderOverloadAndFallsWithoutIt) {
  double peak = 0;
  for (const double load : {0.8, 0.9, 1.0, 1.2}) {
    World world(7, true);
    peak = std::max(peak, world.run(load * kCapacity, 120s).good);
  }
  for (const double load : {2.0, 4.0, 10.0}) {
    World world(7, true);
    const auto outcome = world.run(load * kCapacity, 120s);
    EXPECT_GE(outcome.good, 0.9 * peak) << load << " times its capacity, of a peak of " << peak;
    EXPECT_LE(outcome.most_waiting, 256U);
    World without(7, false);
    EXPECT_LE(without.run(load * kCapacity, 120s).good, 0.3 * peak) << "all queue up in the server";
  }
}

TEST(GradientLimit, RecoversWithinSecondsOfAnOverload) {
  for (const double load : {2.0, 10.0}) {
    World world(3, true);
    world.run(load * kCapacity, 120s);
    world.run(0.5 * kCapacity, 10s);
    world.worst_first_token();
    const auto after = world.run(0.5 * kCapacity, 60s);
    EXPECT_LE(world.worst_first_token(), 1500ms);
    EXPECT_NEAR(after.good, 0.5 * kCapacity, 1);
  }
}

TEST(GradientLimit, FollowsAServerThatBecomesSlowerAndFasterAgain) {
  World world(5, true);
  const double before = world.run(3 * kCapacity, 200s).good;
  world.speed(0.25);
  world.run(3 * kCapacity, 400s);
  EXPECT_GE(world.run(3 * kCapacity, 200s).good, 0.15 * before) << "most answers come too late then, anyway";
  EXPECT_GE(world.run(3 * kCapacity, 200s).mean_limit, 15);
  world.speed(1);
  world.run(3 * kCapacity, 60s);
  EXPECT_GE(world.run(3 * kCapacity, 100s).good, 0.9 * before);
}

TEST(GradientLimit, StaysWithinItsBoundsAndDoesNotGrowUnused) {
  GradientLimit limit({.least = 2, .most = 20});
  MonotonicTime now{};
  const auto feed = [&](Duration took, std::uint32_t in_flight, int times, bool answered = true) {
    for (int i = 0; i < times; ++i) {
      now += 100ms;
      limit.observe({.took = took, .prompt_tokens = 100, .in_flight = in_flight, .answered = answered}, now);
    }
  };
  feed(100ms, 1, 1000);
  EXPECT_EQ(limit.limit(), 16U) << "no request needed more";
  feed(100ms, 16, 100);
  EXPECT_EQ(limit.limit(), 20U);
  feed(10s, 20, 200, false);
  EXPECT_LE(limit.limit(), 8U) << "requests that end without an answer have waited, too";
  EXPECT_GE(limit.limit(), 2U);
  limit.change({.least = 2, .most = 3});
  EXPECT_LE(limit.limit(), 3U);
}

TEST(GradientLimit, ClientsThatLeaveAtOnceTeachNothing) {
  GradientLimit limit;
  MonotonicTime now{};
  for (int i = 0; i < 1000; ++i) {
    now += 100ms;
    limit.observe({.took = 1ms, .prompt_tokens = 100, .in_flight = 16, .answered = false}, now);
  }
  EXPECT_EQ(limit.limit(), GradientLimit::kBegin);
}

}  // namespace
}  // namespace autoglm::gateway
