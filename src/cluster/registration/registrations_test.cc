#include "cluster/registration/registrations.h"

#include "cluster/testing/fake_registrar.h"
#include "runtime/testing/run_task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <fstream>

namespace autoglm::cluster {
namespace {

using namespace std::chrono_literals;
using enum EndpointStatus::State;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class RegistrationsTest : public ::testing::Test {
 public:
  static RegisterConfig entry(std::string id) {
    RegisterConfig config{.service = "llm", .id = std::move(id), .address = "10.0.0.1:8000"};
    config.consul.emplace();
    return config;
  }
  std::unique_ptr<Registrations> make(HostPort listen = {"0.0.0.0", 8080}) {
    return std::make_unique<Registrations>(
        Registrations::Options{
            .served =
                [this] {
                  ++looks_;
                  return models_;
                },
            .facts = {.listen = std::move(listen), .version = "1"},
            .registrar = [this](const RegisterConfig&) -> Result<std::unique_ptr<Registrar>> {
              if (refuses_) return fail(ErrorCode::kInvalidArgument, "as told");
              return std::make_unique<FakeRegistrar>(book_);
            },
            .names = pool_},
        metrics_, *log_);
  }
  /// Runs `task` beside the registrations of these entries.
  void run(Registrations& registrations, std::vector<RegisterConfig> entries, Task<void> task) {
    registrations.adopt(registrations.prepare(entries).value());
    run_task(loop_, [](Registrations& all, Task<void> inner) -> Task<void> {
      Scope scope;
      scope.spawn(all.run());
      co_await std::move(inner);
    }(registrations, std::move(task)));
  }
  Task<void> until(std::function<bool()> enough) {
    for (int i = 0; i < 10'000 && !enough(); ++i) co_await sleep_for(1ms);
    EXPECT_TRUE(enough());
  }
  /// Until the models have been looked at a few times more.
  Task<void> some_looks() {
    co_await until([this, enough = looks_ + 3] { return looks_ >= enough; });
  }
  /// Lines of the log with this in them.
  int lines_with(std::string_view text) const {
    std::ifstream file(log_path_);
    int number = 0;
    for (std::string line; std::getline(file, line);) number += line.contains(text) ? 1 : 0;
    return number;
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
  FakeBook book_;
  bool refuses_ = false;
  int looks_ = 0;
  std::vector<ServedModel> models_ = {{.name = "m", .state = kReady}};
  observe::MetricRegistry metrics_;
  const std::string log_path_ =  // one may be there from a run before
      ::testing::TempDir() + std::to_string(::getpid()) +
      ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".log";
  std::unique_ptr<observe::Logger> log_ = observe::Logger::create({.file = log_path_}).value();
};

TEST_F(RegistrationsTest, NobodyIsToldBeforeTheModelsAreReady) {
  models_ = {{.name = "m", .state = kLoading}};
  const auto all = make();
  run(*all, {entry("a")}, [](RegistrationsTest& test, Registrations& its) -> Task<void> {
    co_await test.some_looks();
    EXPECT_THAT(test.book_.told, IsEmpty());
    EXPECT_FALSE(its.views()[0].registered);
    test.models_[0].state = kReady;
    co_await test.until([&its] { return its.views()[0].registered; });
    EXPECT_THAT(test.book_.told, ElementsAre("keep a 10.0.0.1:8000 m"));
    EXPECT_EQ(its.views()[0].address, "10.0.0.1:8000");
    // A model that comes is told of when it is ready, and takes nobody away.
    test.models_.push_back({.name = "n", .aliases = {"o"}, .state = kLoading});
    co_await test.some_looks();
    EXPECT_EQ(test.book_.told.size(), 1U);
    test.models_[1].state = kReady;
    co_await test.until([&test] { return test.book_.told.back() == "keep a 10.0.0.1:8000 m,n,o"; });
    test.models_ = {{.name = "m", .state = kFailed}};
    co_await test.until([&its] { return !its.views()[0].registered; });
    EXPECT_EQ(test.book_.told.back(), "remove a");
  }(*this, *all));
}

TEST_F(RegistrationsTest, TellsThatItLivesThriceInTheTimeThatItIsBelieved) {
  book_.says = 60ms;
  const auto all = make();
  run(*all, {entry("a")}, [](RegistrationsTest& test) -> Task<void> {
    const MonotonicTime begun = std::chrono::steady_clock::now();
    co_await test.until([&test] { return test.book_.told.size() >= 10; });
    // Nine beats of 20 ms: no beat in a hurry, however slow this machine is.
    EXPECT_GE(std::chrono::steady_clock::now() - begun, 9 * 20ms - 5ms);
  }(*this));
}

TEST_F(RegistrationsTest, GoesOnThroughFailuresAndSaysSo) {
  book_.says = fail(ErrorCode::kUnavailable, "as told");
  const auto all = make();
  run(*all, {entry("a")}, [](RegistrationsTest& test, Registrations& its) -> Task<void> {
    co_await test.until([&test] { return test.book_.count("keep") >= 3; });
    EXPECT_EQ(its.views()[0].trouble, "as told");
    EXPECT_FALSE(its.views()[0].registered);
    EXPECT_THAT(test.metrics_.serialize(), HasSubstr(R"(autoglm_registered{registry="fake llm"} 0)"));
    test.book_.says = 1h;
    co_await test.until([&its] { return its.views()[0].registered; });
    EXPECT_EQ(its.views()[0].trouble, "");
    EXPECT_THAT(test.metrics_.serialize(), HasSubstr(R"(autoglm_registered{registry="fake llm"} 1)"));
  }(*this, *all));
}

TEST_F(RegistrationsTest, ARegistryThatIsAwayBelievesUntilTheTimeIsOver) {
  book_.says = 900ms;
  const auto all = make();
  run(*all, {entry("a")}, [](RegistrationsTest& test, Registrations& its) -> Task<void> {
    co_await test.until([&its] { return its.views()[0].registered; });
    test.book_.says = fail(ErrorCode::kUnavailable, "away");
    co_await test.until([&its] { return its.views()[0].trouble == "away"; });
    EXPECT_TRUE(its.views()[0].registered);
    co_await test.until([&its] { return !its.views()[0].registered; });
    // One that knows another server by our name does not believe us for a moment longer.
    test.book_.says = 1h;
    co_await test.until([&its] { return its.views()[0].registered; });
    test.book_.says = fail(Error{.message = "taken", .reason = std::string(kIdTaken)});
    test.models_.push_back({.name = "n", .state = kReady});
    co_await test.until([&its] { return its.views()[0].trouble == "taken"; });
    EXPECT_FALSE(its.views()[0].registered);
  }(*this, *all));
}

TEST_F(RegistrationsTest, LeavesAndStaysAway) {
  const auto all = make();
  run(*all, {entry("a"), entry("b")}, [](RegistrationsTest& test, Registrations& its) -> Task<void> {
    co_await test.until([&test] { return test.book_.count("keep") == 2; });
    co_await its.leave();
    EXPECT_EQ(test.book_.count("remove"), 2U);
    co_await sleep_for(100ms);  // nobody looks any more
    EXPECT_EQ(test.book_.told.size(), 4U);
  }(*this, *all));
}

TEST_F(RegistrationsTest, ARegistryThatDoesNotAnswerHoldsNobodyUp) {
  const auto all = make();
  run(*all, {entry("a"), entry("b")}, [](RegistrationsTest& test, Registrations& its) -> Task<void> {
    co_await test.until([&test] { return test.book_.count("keep") == 2; });
    test.book_.removes = false;
    co_await its.leave();  // without its bound this takes as long as two registrars have patience
    EXPECT_EQ(test.book_.count("remove"), 2U);
    EXPECT_TRUE(its.views()[0].registered) << "nobody has said that it is not";
  }(*this, *all));
}

TEST_F(RegistrationsTest, AnEntryIsChangedInPlaceOrLeavesBeforeTheNextOne) {
  const auto all = make();
  run(*all, {entry("a")}, [](RegistrationsTest& test, Registrations& its) -> Task<void> {
    co_await test.until([&its] { return its.views()[0].registered; });
    RegisterConfig heavier = entry("a");
    heavier.weight = 7;
    its.adopt(its.prepare({heavier}).value());
    co_await test.until([&test] { return test.book_.told.size() == 2; });
    its.adopt(its.prepare({heavier}).value());
    co_await test.some_looks();
    its.adopt(its.prepare({entry("b")}).value());
    co_await test.until([&test] { return test.book_.count("keep b") == 1; });
    EXPECT_THAT(test.book_.told, ElementsAre("keep a 10.0.0.1:8000 m", "keep a 10.0.0.1:8000 m", "remove a",
                                             "keep b 10.0.0.1:8000 m"));
    test.refuses_ = true;
    EXPECT_FALSE(its.prepare({entry("c")}));
    EXPECT_TRUE(its.prepare({entry("b")})) << "it has its registrar";
    its.adopt(its.prepare({}).value());
    co_await test.until([&test] { return test.book_.told.back() == "remove b"; });
    EXPECT_THAT(its.views(), IsEmpty());
  }(*this, *all));
}

TEST_F(RegistrationsTest, TheAddressIsWhereItListensOrTheRouteSaysAndNeverLoopbackForOthers) {
  for (const auto& [listen, registry, wanted] :
       {std::tuple("10.1.2.3", "http://192.0.2.1:8500", "10.1.2.3:8080"),
        {"127.0.0.1", "http://127.0.0.1:8500", "127.0.0.1:8080"},
        {"0.0.0.0", "http://127.0.0.1:8500", "127.0.0.1:8080"},
        {"127.0.0.1", "http://192.0.2.1:8500", ""}}) {
    book_.told.clear();
    const auto all = make({listen, 8080});
    RegisterConfig config = entry("a");
    config.address.clear();
    config.consul->connection.address = registry;
    run(*all, {config}, [](RegistrationsTest& test, Registrations& its, std::string address) -> Task<void> {
      co_await test.until([&] { return its.views()[0].registered || !its.views()[0].trouble.empty(); });
      EXPECT_EQ(its.views()[0].address, address);
      if (address.empty()) EXPECT_THAT(its.views()[0].trouble, HasSubstr("set `address`"));
    }(*this, *all, wanted));
  }
}

TEST_F(RegistrationsTest, ARemovalThatFailsIsTriedAgain) {
  const auto all = make();
  run(*all, {entry("a"), entry("b")}, [](RegistrationsTest& test, Registrations& its) -> Task<void> {
    co_await test.until([&test] { return test.book_.count("keep") == 2; });
    test.book_.refused_removals = 2;
    its.adopt(its.prepare({entry("b")}).value());  // by a reload
    co_await test.until([&test] { return test.book_.count("remove a") == 3; });
    test.book_.refused_removals = 1;
    co_await its.leave();
    EXPECT_EQ(test.book_.count("remove b"), 2U);
    EXPECT_FALSE(its.views()[0].registered);
  }(*this, *all));
}

TEST_F(RegistrationsTest, ARemovalThatFailsWhileTheModelsAreNotReadyIsTriedAgain) {
  const auto all = make();
  run(*all, {entry("a")}, [](RegistrationsTest& test, Registrations& its) -> Task<void> {
    co_await test.until([&its] { return its.views()[0].registered; });
    test.book_.refused_removals = 1;
    test.models_[0].state = kFailed;
    co_await test.until([&its] { return its.views()[0].trouble == "not now"; });
    EXPECT_TRUE(its.views()[0].registered) << "it stands there";
    co_await test.until([&its] { return its.views()[0].trouble == "its models are not ready"; });
    EXPECT_EQ(test.book_.count("remove a"), 2U);
    EXPECT_FALSE(its.views()[0].registered);
  }(*this, *all));
}

TEST_F(RegistrationsTest, WhoLeavesDoesNotWaitForWhatItIsAsking) {
  book_.keeps = false;
  const auto all = make();
  run(*all, {entry("a")}, [](RegistrationsTest& test, Registrations& its) -> Task<void> {
    co_await test.until([&test] { return test.book_.count("keep") == 1; });
    co_await its.leave();
    EXPECT_THAT(test.book_.told, ElementsAre("keep a 10.0.0.1:8000 m", "remove a"))
        << "it may have been written all the same";
  }(*this, *all));
}

TEST_F(RegistrationsTest, ALateRemovalOfTheSameIdHoldsTheNextOneUp) {
  const auto all = make();
  run(*all, {entry("a")}, [](RegistrationsTest& test, Registrations& its) -> Task<void> {
    co_await test.until([&test] { return test.book_.count("keep a") == 1; });
    test.book_.removes = false;
    RegisterConfig other = entry("a");
    other.consul->ttl = 30s;
    its.adopt(its.prepare({other, entry("b")}).value());
    co_await test.until([&test] { return test.book_.count("keep b") == 1; });  // it has another id
    EXPECT_EQ(test.book_.count("keep a"), 1U);
    EXPECT_THAT(test.metrics_.serialize(), Not(HasSubstr(R"(autoglm_registered{registry="fake llm"})")))
        << "its name is free";
    test.book_.removes = true;
    co_await test.until([&test] { return test.book_.count("keep a") == 2; });
  }(*this, *all));
}

TEST_F(RegistrationsTest, WhatARemovalTookWithItIsWrittenAgain) {
  const auto all = make();
  run(*all, {entry("a")}, [](RegistrationsTest& test, Registrations& its) -> Task<void> {
    co_await test.until([&test] { return test.book_.count("keep a") == 1; });
    test.book_.refused_removals = 1;
    test.book_.removes = false;
    test.book_.says = fail(ErrorCode::kUnavailable, "not yet");
    RegisterConfig other = entry("a");
    other.consul->ttl = 30s;
    its.adopt(its.prepare({other}).value());
    co_await test.until([&test] { return test.book_.count("remove a") == 2; });
    test.book_.says = 1h;
    co_await test.until([&its] { return its.views()[0].registered; });
    const std::size_t kept = test.book_.count("keep a");
    test.book_.removes = true;
    co_await test.until([&test, kept] { return test.book_.count("keep a") == kept + 1; });
  }(*this, *all));
}

TEST_F(RegistrationsTest, WhatARegistryBelievedEndsWhileNobodyAnswers) {
  book_.says = 300ms;
  const auto all = make();
  run(*all, {entry("a")}, [](RegistrationsTest& test, Registrations& its) -> Task<void> {
    co_await test.until([&its] { return its.views()[0].registered; });
    test.book_.keeps = false;
    co_await test.until([&its] { return !its.views()[0].registered; });
    EXPECT_EQ(its.views()[0].trouble, "") << "it is still being asked";
  }(*this, *all));
}

TEST_F(RegistrationsTest, AModelThatFlapsReturnsOnceASecond) {
  const auto all = make();
  run(*all, {entry("a")}, [](RegistrationsTest& test) -> Task<void> {
    const MonotonicTime begun = std::chrono::steady_clock::now();
    for (int i = 0; i < 10; ++i) {
      for (const auto state : {kReady, kFailed}) {
        test.models_[0].state = state;
        co_await test.until([&test, enough = test.looks_ + 1] { return test.looks_ >= enough; });
      }
    }
    // Slower machines have more seconds.
    const auto seconds = std::chrono::floor<std::chrono::seconds>(std::chrono::steady_clock::now() - begun);
    EXPECT_LE(test.book_.count("keep"), 1U + static_cast<std::size_t>(seconds.count()));
  }(*this));
}

TEST_F(RegistrationsTest, MembersThatAreDownInTurnAreLoggedOnce) {
  book_.says = fail(ErrorCode::kUnavailable, "http://10.0.0.8:2379: connection refused");
  const auto all = make();
  run(*all, {entry("a")}, [](RegistrationsTest& test) -> Task<void> {
    co_await test.until([&test] { return test.book_.count("keep") == 1; });
    test.book_.says = fail(ErrorCode::kUnavailable, "http://10.0.0.9:2379: connection refused");
    co_await test.until([&test] { return test.book_.count("keep") == 3; });
    test.book_.says = fail(ErrorCode::kDeadlineExceeded, "http://10.0.0.8:2379: too slow");
    co_await test.until([&test] { return test.book_.count("keep") == 4; });
  }(*this));
  log_.reset();
  EXPECT_EQ(lines_with("connection refused"), 1);
  EXPECT_EQ(lines_with("too slow"), 1) << "another kind";
}

TEST_F(RegistrationsTest, AnAddressIsFoundThroughAnyOfTheRegistrysAddresses) {
  const auto all = make();
  RegisterConfig config{.service = "llm", .id = "a"};
  config.etcd.emplace();
  config.etcd->connection.endpoints = {"http://no-such-host.invalid:2379", "http://127.0.0.1:2379"};
  run(*all, {config}, [](RegistrationsTest& test, Registrations& its) -> Task<void> {
    co_await test.until([&its] { return its.views()[0].registered || !its.views()[0].trouble.empty(); });
    EXPECT_EQ(its.views()[0].address, "127.0.0.1:8080") << its.views()[0].trouble;
  }(*this, *all));
}

TEST_F(RegistrationsTest, EachHasANameOfItsOwn) {
  const auto all = make();
  run(*all, {entry("a"), entry("b")}, [](Registrations& its) -> Task<void> {
    EXPECT_EQ(its.views()[1].registry, "fake llm #2");
    its.adopt(its.prepare({entry("b"), entry("c"), entry("d")}).value());
    EXPECT_EQ(its.views()[0].registry, "fake llm #2");
    EXPECT_EQ(its.views()[1].registry, "fake llm");
    EXPECT_EQ(its.views()[2].registry, "fake llm #3");
    co_return;
  }(*all));
}

TEST_F(RegistrationsTest, WithoutAnIdItIsTheServiceAndTheAddress) {
  const auto all = make();
  run(*all, {entry("")}, [](RegistrationsTest& test, Registrations& its) -> Task<void> {
    co_await test.until([&its] { return its.views()[0].registered; });
    EXPECT_EQ(its.views()[0].id, "llm-10.0.0.1-8000");
  }(*this, *all));
}

}  // namespace
}  // namespace autoglm::cluster
