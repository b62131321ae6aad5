#include "cluster/health/health_watch.h"

#include "cluster/testing/fake_checks.h"
#include "inference/testing/fake_endpoint.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::cluster {
namespace {

using namespace std::chrono_literals;

/// An endpoint, and what the watch has said of it.
struct Patient {
  explicit Patient(const std::string& name) : state(std::make_shared<MemberState>(name)) {}

  HealthWatch::Watched watched() {
    return {.state = state, .endpoint = endpoint, .checks = checks, .take = [this](CheckResult result, auto) {
              said.push_back(result);
              return false;
            }};
  }
  std::shared_ptr<MemberState> state;
  std::shared_ptr<FakeEndpoint> endpoint = std::make_shared<FakeEndpoint>("m");
  std::shared_ptr<FakeChecks> checks = std::make_shared<FakeChecks>();
  std::vector<CheckResult> said;
};

Result<void> error(Origin origin, std::string reason = {}) {
  return fail(Error{
      .code = ErrorCode::kUnavailable, .origin = origin, .message = "as told", .reason = std::move(reason)});
}

class HealthWatchTest : public ::testing::Test {
 public:
  HealthWatch make(bool asks_load = false) {
    return HealthWatch({.model = "m", .health = {.interval = 100us}, .asks_load = asks_load}, *log_);
  }
  /// Runs `task` beside the watch.
  void run(HealthWatch& watch, Task<void> task) {
    run_task(loop_, [](HealthWatch& runs, Task<void> inner) -> Task<void> {
      Scope scope;
      scope.spawn(runs.run());
      co_await std::move(inner);
    }(watch, std::move(task)));
  }
  /// Until it has been asked `times` more.
  static Task<void> asked(const Patient& patient, std::size_t times) {
    const std::size_t until = patient.checks->asked + times;
    while (patient.checks->asked < until) co_await sleep_for(50us);
  }

  EventLoop loop_;
  std::unique_ptr<observe::Logger> log_ = observe::Logger::create({.file = "/dev/null"}).value();
  Patient one_{"one"};
  Patient other_{"other"};
};

TEST_F(HealthWatchTest, ChecksEachAgainAndAgainWhileItRuns) {
  HealthWatch watch = make();
  watch.add(one_.watched());
  watch.add(other_.watched());
  EXPECT_EQ(watch.begun(), 0U);
  EXPECT_FALSE(watch.last_check(*one_.state));
  other_.checks->says = error(Origin::kEndpoint);
  run(watch, [](HealthWatchTest& t) -> Task<void> {
    co_await asked(t.one_, 3);
    co_await asked(t.other_, 3);
  }(*this));
  EXPECT_EQ(watch.begun(), 2U);
  EXPECT_TRUE(watch.last_check(*one_.state).value());
  EXPECT_EQ(watch.last_check(*other_.state)->error().message, "as told");
  const std::size_t before = one_.checks->asked;
  run_task(loop_, [](const Patient&) -> Task<void> { co_await sleep_for(2ms); }(one_));
  EXPECT_EQ(one_.checks->asked, before) << "it does not run any more";
}

TEST_F(HealthWatchTest, WhoComesAndGoesMeanwhileDisturbsNobody) {
  HealthWatch watch = make();
  watch.add(one_.watched());
  run(watch, [](HealthWatchTest& t, HealthWatch& w) -> Task<void> {
    co_await asked(t.one_, 1);
    w.add(t.other_.watched());
    co_await asked(t.other_, 2);
    w.remove(*t.other_.state);
    const std::size_t before = t.other_.checks->asked;
    co_await asked(t.one_, 10);
    EXPECT_EQ(t.other_.checks->asked, before);
    EXPECT_FALSE(w.last_check(*t.other_.state));
  }(*this, watch));
  EXPECT_EQ(watch.begun(), 2U) << "nobody's checks began anew";
  EXPECT_EQ(watch.size(), 1U);
  EXPECT_EQ(other_.state.use_count(), 1) << "the watch keeps nothing of it";
}

TEST_F(HealthWatchTest, TellsWhatAResultMeans) {
  EXPECT_EQ(meaning_of({}), CheckResult::kWell);
  EXPECT_EQ(meaning_of(error(Origin::kEndpoint)), CheckResult::kUnwell);
  EXPECT_EQ(meaning_of(error(Origin::kEndpoint, "connect_failed")), CheckResult::kAbsent);
  EXPECT_EQ(meaning_of(error(Origin::kLocal)), std::nullopt) << "this process could not ask";
  HealthWatch watch = make();
  watch.add(one_.watched());
  watch.add(other_.watched());
  one_.checks->says = error(Origin::kLocal);
  run(watch, [](HealthWatchTest& t) -> Task<void> {
    co_await asked(t.one_, 3);
    co_await asked(t.other_, 2);
  }(*this));
  EXPECT_TRUE(one_.said.empty());
  EXPECT_GE(other_.said.size(), 1U);
}

TEST_F(HealthWatchTest, NotesTheLoadOfWhoIsWellWhereItIsWanted) {
  for (const bool wanted : {false, true}) {
    HealthWatch watch = make(wanted);
    watch.add(one_.watched());
    watch.add(other_.watched());
    one_.endpoint->current_load = {.running = 3, .waiting = 4};
    one_.state->in_flight = 2;
    other_.checks->says = error(Origin::kEndpoint);
    run(watch, [](HealthWatchTest& t) -> Task<void> {
      co_await asked(t.one_, 3);
      co_await asked(t.other_, 3);
    }(*this));
    EXPECT_EQ(one_.state->reported, wanted ? 7U : 0U);
    EXPECT_EQ(one_.state->in_flight_at_report, wanted ? 2U : 0U);
    EXPECT_EQ(other_.checks->load_asked, 0U);
  }
}

TEST_F(HealthWatchTest, ManyChangesAtOnceAreCountedInOneLine) {
  const std::string path = ::testing::TempDir() + "health_watch_test." + std::to_string(::getpid()) + ".log";
  log_ = observe::Logger::create({.file = path}).value();
  HealthWatch watch = make();
  std::vector<std::unique_ptr<Patient>> patients;
  for (int i = 0; i < 200; ++i) {
    patients.push_back(std::make_unique<Patient>(std::to_string(i)));
    auto watched = patients.back()->watched();
    watched.take = [once = false](CheckResult, MonotonicTime) mutable { return !std::exchange(once, true); };
    watch.add(std::move(watched));
  }
  const auto began = std::chrono::steady_clock::now();
  run(watch, [](std::vector<std::unique_ptr<Patient>>& all) -> Task<void> {
    co_await asked(*all.back(), 1);
    co_await sleep_for(1s);
    co_await asked(*all.back(), 2);  // the next check tells of the second that has ended
  }(patients));
  const auto seconds = static_cast<std::size_t>((std::chrono::steady_clock::now() - began) / 1s);
  log_ = observe::Logger::create({.file = "/dev/null"}).value();
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::filesystem::remove(path);
  std::size_t lines = 0;
  for (std::size_t at = 0; (at = text.find("endpoint is back", at)) != std::string::npos; ++at) ++lines;
  EXPECT_GE(lines, HealthWatch::kMostLines);
  EXPECT_LE(lines, HealthWatch::kMostLines * (seconds + 1));
  EXPECT_TRUE(text.contains("further endpoints are out, or back")) << text;
}

}  // namespace
}  // namespace autoglm::cluster
