#include "gateway/admission/shared/scripts.h"

#include "base/random.h"
#include "gateway/admission/rate/rate_limiter.h"
#include "gateway/admission/rate/sliding_window.h"
#include "gateway/admission/shared/shared_spec.h"
#include "redis/testing/redis_server.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <deque>
#include <optional>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

/// What the take script says of one key.
struct TakeReply {
  std::int64_t what = -1, wait = 0, remaining = 0, reset = 0, born = 0, position = 0;
};

struct HeldReservation {
  Reservation of_reference;
  std::int64_t born = 0, position = 0;
  std::uint64_t amount = 0;
};

constexpr std::uint64_t kBegin = 1'700'000'000'000'000;  // microseconds, as Redis' clock has now

MonotonicTime at(std::uint64_t microseconds) {
  return MonotonicTime(std::chrono::microseconds(microseconds));
}

std::int64_t up_to_microseconds(Duration time) {
  return std::chrono::ceil<std::chrono::microseconds>(time).count();
}

/// The scripts on a real server, with a clock that the test moves.
class Scripts {
 public:
  explicit Scripts(BlockingPool& names)
      : client_(names, options_ = {.address = server_.address(), .timeout = 1min, .connect_timeout = 10s},
                [](bool, std::string_view) {}) {}

  Task<void> connect() {
    for (int i = 0; i < 10'000 && server_.runs(); ++i) {
      if (co_await call(redis::Script::of("return redis.call('FLUSHALL')"), {"x"}, {})) co_return;
      co_await sleep_for(1ms);
    }
    ADD_FAILURE() << "no Redis";
  }

  /// Empty `now`: the server's time.
  Task<std::vector<TakeReply>> take(std::string now, std::vector<std::string> keys,
                                    std::vector<SharedSpec> specs, std::vector<std::uint64_t> amounts) {
    std::vector<std::string> arguments = {std::move(now)};
    for (std::size_t i = 0; i < keys.size(); ++i) {
      for (const std::string& word : specs[i].words()) arguments.push_back(word);
      arguments.push_back(std::to_string(amounts[i]));
    }
    std::vector<TakeReply> replies(keys.size());
    const auto reply = co_await call(take_script(), keys, arguments);
    if (!reply || reply->elements.size() != 6 * keys.size()) {
      ADD_FAILURE() << (reply ? reply->text : "no reply");
      co_return replies;
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto* n = &reply->elements[6 * i];
      replies[i] = {n[0].integer, n[1].integer, n[2].integer, n[3].integer, n[4].integer, n[5].integer};
    }
    co_return replies;
  }

  Task<TakeReply> take(std::string now, std::string key, SharedSpec spec, std::uint64_t amount) {
    std::vector<std::string> keys = {std::move(key)};
    std::vector<SharedSpec> specs = {spec};
    std::vector<std::uint64_t> amounts = {amount};
    co_return (co_await take(std::move(now), std::move(keys), std::move(specs), std::move(amounts))).front();
  }

  Task<void> settle(std::string now, std::string key, SharedSpec spec, std::uint64_t amount,
                    std::int64_t born, std::int64_t position, std::uint64_t used) {
    std::vector<std::string> keys = {std::move(key)}, arguments = {std::move(now)};
    for (const std::string& word : spec.words()) arguments.push_back(word);
    for (const std::string& word :
         {std::to_string(amount), std::to_string(born), std::to_string(position), std::to_string(used)})
      arguments.push_back(word);
    const auto reply = co_await call(settle_script(), keys, arguments);
    EXPECT_TRUE(reply && !reply->is_error()) << (reply ? reply->text : "");
  }

  Task<std::int64_t> number(std::string source, std::string key) {
    const auto reply = co_await call(redis::Script::of(std::move(source)), {std::move(key)}, {});
    co_return reply ? reply->integer : -99;
  }

 private:
  Task<std::optional<redis::Reply>> call(const redis::Script& script, std::vector<std::string> keys,
                                         std::vector<std::string> arguments) {
    struct Asked {
      Signal done;
      std::optional<redis::Reply> reply;
    };
    const auto asked = std::make_shared<Asked>();
    const bool sent = client_.run(script, keys, arguments, [asked](Result<redis::Reply> reply) {
      if (reply) asked->reply = std::move(*reply);
      asked->done.set();
    });
    if (!sent) co_return std::nullopt;
    co_await asked->done.wait();
    co_return std::move(asked->reply);
  }

  redis::RedisServer server_;
  redis::Options options_;
  redis::Client client_;
};

class ScriptsTest : public ::testing::Test {
 protected:
  template <class Body>
  void run(Body body) {
    run_task(loop_, [](BlockingPool& names, Body inner) -> Task<void> {
      Scripts scripts(names);
      co_await scripts.connect();
      if (!HasFailure()) co_await inner(scripts);
    }(pool_, body));
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

RateSpec random_spec(Random& random) {
  RateSpec spec{.amount = 1 + random.below(random.below(2) == 0 ? 20 : 100'000),
                .period = std::chrono::seconds(15) * static_cast<std::int64_t>(1 + random.below(6))};
  spec.algorithm = static_cast<RateAlgorithm>(random.below(3));
  if (spec.algorithm == RateAlgorithm::kSlidingWindow) return spec;
  if (random.below(2) == 0) spec.burst = 1 + random.below(2 * spec.amount);
  if (spec.algorithm == RateAlgorithm::kLeakyBucket)
    spec.queue = static_cast<std::uint32_t>(random.below(10));
  return spec;
}

/// One subject on both sides: what Redis says, and what RateLimiter says, which is proven against exact
/// arithmetic by its own tests.
struct Pair {
  RateSpec spec;
  SharedSpec shared;
  std::string key;
  std::unique_ptr<RateLimiter> reference;
  std::deque<HeldReservation> held;
  std::uint64_t admitted = 0, refused = 0, settled = 0;

  Task<void> step(Scripts& scripts, Random& random, std::uint64_t now) {
    if (!held.empty() && random.below(3) == 0) {
      const std::size_t which = random.below(held.size());
      const HeldReservation it = held[which];
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
      const std::uint64_t used =
          random.below(10) == 0 ? it.amount + random.below(it.amount + 3) : random.below(it.amount + 1);
      reference->settle(it.of_reference, used, at(now));
      ++settled;
      co_return co_await scripts.settle(std::to_string(now), key, shared, it.amount, it.born, it.position,
                                        used);
    }
    const std::uint64_t amount =
        1 + random.below(random.below(2) == 0 ? spec.most_at_once() : 1 + spec.most_at_once() / 8);
    const RateDecision wanted = reference->take(amount, at(now));
    const TakeReply got = co_await scripts.take(std::to_string(now), key, shared, amount);
    EXPECT_EQ(got.what, wanted.verdict == Verdict::kAdmitted ? 0 : 1) << "seed " << key;
    EXPECT_EQ(got.wait,
              up_to_microseconds(wanted.verdict == Verdict::kAdmitted ? wanted.delay : wanted.retry_after));
    EXPECT_EQ(got.remaining, static_cast<std::int64_t>(wanted.state.remaining));
    EXPECT_EQ(got.reset, up_to_microseconds(wanted.state.reset));
    (got.what == 0 ? admitted : refused) += 1;
    if (got.what == 0) held.push_back({wanted.reservation, got.born, got.position, amount});
    if (held.size() > 20) held.pop_front();
  }
};

Task<void> compare(Scripts& scripts, std::uint64_t seed, std::uint64_t& decisions) {
  Random random(seed);
  Pair pair{.spec = random_spec(random), .key = "k" + std::to_string(seed)};
  pair.shared = SharedSpec::of(pair.spec).value();
  // The script's sub-windows begin at multiples of their width, those of the reference at its first moment.
  const std::uint64_t width = pair.shared.kind == 'w' ? pair.shared.parts : 1;
  std::uint64_t now = (kBegin / width + 1) * width;
  pair.reference = std::make_unique<RateLimiter>(pair.spec, at(now));
  const auto period = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(pair.spec.period).count());
  for (int i = 0; i < 300 && !::testing::Test::HasFailure(); ++i) {
    const std::uint64_t pace = random.below(4);
    now += pace == 0 ? 0
                     : random.below(pace == 1               ? 50
                                    : pace == 2             ? period / 10
                                    : random.below(20) == 0 ? 2 * period
                                                            : period / 100);
    co_await pair.step(scripts, random, now);
  }
  decisions += pair.admitted + pair.refused + pair.settled;
}

TEST_F(ScriptsTest, DecideAsTheReferenceDoes) {
  run([](Scripts& scripts) -> Task<void> {
    std::uint64_t decisions = 0, lanes_left = 0;
    Scope scope;
    // Several at a time, so that round trips overlap.
    for (std::uint64_t lane = 0; lane < 32; ++lane) {
      ++lanes_left;
      scope.spawn(
          [](Scripts& on, std::uint64_t first, std::uint64_t& count, std::uint64_t& left) -> Task<void> {
            for (std::uint64_t i = 0; i < 11; ++i) co_await compare(on, first + i, count);
            --left;
          }(scripts, 1 + lane * 11, decisions, lanes_left));
    }
    co_await scope.join();
    EXPECT_EQ(lanes_left, 0U);
    EXPECT_GE(decisions, 100'000U);
  });
}

TEST_F(ScriptsTest, TakeFromAllLimitsOrFromNone) {
  run([](Scripts& scripts) -> Task<void> {
    const SharedSpec ten = SharedSpec::of({.amount = 10, .period = 60s}).value();
    const SharedSpec two =
        SharedSpec::of({.amount = 2, .period = 60s, .algorithm = RateAlgorithm::kSlidingWindow}).value();
    const auto both = [&](std::uint64_t amount) {
      std::vector<std::string> keys = {"a", "b"};
      std::vector<SharedSpec> specs = {ten, two};
      std::vector<std::uint64_t> amounts = {amount, 1};
      return scripts.take(std::to_string(kBegin), std::move(keys), std::move(specs), std::move(amounts));
    };
    for (int i = 0; i < 2; ++i) {
      const auto taken = co_await both(1);
      EXPECT_EQ(taken[0].what, 0);
      EXPECT_EQ(taken[1].what, 0);
    }
    const auto refused = co_await both(1);
    EXPECT_EQ(refused[0].what, 2) << "there was room";
    EXPECT_EQ(refused[0].remaining, 8) << "and it is still there";
    EXPECT_EQ(refused[1].what, 1);
    EXPECT_GT(refused[1].wait, 0);
    EXPECT_EQ((co_await both(9))[0].what, 1);
  });
}

TEST_F(ScriptsTest, GiveNothingBackToACounterThatBeganAnew) {
  run([](Scripts& scripts) -> Task<void> {
    for (const auto algorithm : {RateAlgorithm::kTokenBucket, RateAlgorithm::kSlidingWindow}) {
      const SharedSpec spec = SharedSpec::of({.amount = 10, .period = 60s, .algorithm = algorithm}).value();
      const std::string key(1, spec.kind), now = std::to_string(kBegin), later = std::to_string(kBegin + 1);
      const TakeReply lost = co_await scripts.take(now, key, spec, 10);
      EXPECT_EQ(co_await scripts.number("return redis.call('DEL', KEYS[1])", key), 1);
      EXPECT_EQ((co_await scripts.take(later, key, spec, 10)).what, 0);
      co_await scripts.settle(later, key, spec, 10, lost.born, lost.position, 0);
      EXPECT_EQ((co_await scripts.take(later, key, spec, 1)).what, 1);
    }
  });
}

TEST_F(ScriptsTest, AClockThatIsSetBackAdmitsNothingMore) {
  run([](Scripts& scripts) -> Task<void> {
    for (const auto algorithm : {RateAlgorithm::kTokenBucket, RateAlgorithm::kSlidingWindow}) {
      for (const std::uint64_t step : {std::uint64_t{1'000'000}, std::uint64_t{3'600'000'000}}) {
        const SharedSpec spec = SharedSpec::of({.amount = 10, .period = 60s, .algorithm = algorithm}).value();
        const std::string key = std::string(1, spec.kind) + std::to_string(step);
        EXPECT_EQ((co_await scripts.take(std::to_string(kBegin), key, spec, 10)).what, 0);
        const TakeReply refused = co_await scripts.take(std::to_string(kBegin - step), key, spec, 10);
        EXPECT_EQ(refused.what, 1);
        EXPECT_GE(refused.wait, 60'000'000);
        EXPECT_LE(refused.wait, 60'000'000 + 61'000'000 + 8'000'000);
        EXPECT_EQ(
            (co_await scripts.take(std::to_string(kBegin - step + static_cast<std::uint64_t>(refused.wait)),
                                   key, spec, 10))
                .what,
            0);
      }
    }
  });
}

TEST_F(ScriptsTest, AChangeOfTheLimitKeepsWhatWasTaken) {
  run([](Scripts& scripts) -> Task<void> {
    for (const auto algorithm : {RateAlgorithm::kTokenBucket, RateAlgorithm::kSlidingWindow}) {
      const SharedSpec minute =
          SharedSpec::of({.amount = 700, .period = 60s, .algorithm = algorithm}).value();
      const SharedSpec hour =
          SharedSpec::of({.amount = 1000, .period = 3600s, .algorithm = algorithm}).value();
      const std::string key(1, minute.kind), now = std::to_string(kBegin);
      EXPECT_EQ((co_await scripts.take(now, key, minute, 600)).what, 0);
      const TakeReply more = co_await scripts.take(now, key, hour, 500);
      EXPECT_EQ(more.what, 1);
      EXPECT_NEAR(static_cast<double>(more.remaining), 400, 1);
      EXPECT_EQ((co_await scripts.take(now, key, hour, 390)).what, 0);
    }
  });
}

TEST_F(ScriptsTest, KeysVanishWhenTheyAreAsIfUnused) {
  run([](Scripts& scripts) -> Task<void> {
    for (const auto algorithm : {RateAlgorithm::kTokenBucket, RateAlgorithm::kSlidingWindow}) {
      const SharedSpec spec = SharedSpec::of({.amount = 10, .period = 60s, .algorithm = algorithm}).value();
      const std::string key(1, spec.kind);
      const TakeReply taken = co_await scripts.take("", key, spec, 5);
      EXPECT_EQ(taken.what, 0);
      const std::int64_t left = co_await scripts.number("return redis.call('PTTL', KEYS[1])", key);
      EXPECT_LE(left, taken.reset / 1000 + 2);
      EXPECT_GT(left, taken.reset / 1000 - 20'000);
      co_await scripts.settle("", key, spec, 5, taken.born, taken.position, 0);
      EXPECT_EQ(co_await scripts.number("return redis.call('EXISTS', KEYS[1])", key), 0);
    }
  });
}

}  // namespace
}  // namespace autoglm::gateway
