#include "cluster/testing/registry_conformance.h"

#include "cluster/testing/kept_instances.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <fmt/format.h>
#include <algorithm>
#include <optional>
#include <utility>

namespace autoglm::cluster {

Task<void> HttpRegistrySubject::changed(std::uint64_t since) {
  while (version_ == since) co_await sleep_for(std::chrono::milliseconds(1));
}

Task<bool> HttpRegistrySubject::send(ByteStream& to, std::string body, int status, std::string headers) {
  const std::string answer =
      fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(), headers, body);
  co_return (co_await to.write_all(std::string_view(answer))).has_value();
}

Task<bool> HttpRegistrySubject::answer(ByteStream& to, std::string request) {
  if (state_ == State::kIll) co_return co_await send(to, "no leader", 500);
  if (state_ == State::kGarbage) co_return co_await send(to, "<html>{\n");
  co_return co_await answer_well(to, std::move(request));
}

namespace {

using Ports = RegistrySubject::Ports;

Ports ports_of(const std::vector<Instance>& instances) {
  Ports ports;
  for (const Instance& each : instances) ports.push_back(each.port);
  std::ranges::sort(ports);
  ports.erase(std::ranges::unique(ports).begin(), ports.end());
  return ports;
}

/// A subject, a registry of it that runs, and what it says.
struct Running {
  explicit Running(const RegistryImplementation& of) : subject(of.make()) {}
  void begin() {
    registry = subject->make();
    scope.spawn(registry->run(kept));
  }
  Task<void> until_listed(Ports ports) {
    EXPECT_TRUE(co_await kept.until([&ports](const KeptInstances& each) {
      return !each.lists.empty() && ports_of(each.lists.back()) == ports;
    })) << kept.last()
        << (kept.errors.empty() ? "" : "; " + kept.errors.back().message);
  }
  /// Another list than the first `before`.
  Task<void> until_more(std::size_t before) {
    EXPECT_TRUE(co_await kept.until([before](const KeptInstances& each) {
      return each.lists.size() > before;
    })) << (kept.errors.empty() ? "it says nothing" : kept.errors.back().message);
  }
  /// Another error than the first `before`.
  Task<void> until_an_error(std::size_t before) {
    EXPECT_TRUE(
        co_await kept.until([before](const KeptInstances& each) { return each.errors.size() > before; }));
  }

  std::unique_ptr<RegistrySubject> subject;
  std::unique_ptr<Registry> registry;
  KeptInstances kept;
  Scope scope;  // last: its task uses the above
};

}  // namespace

RegistryImplementation::RegistryImplementation(const char* called, Make maker) : name(called), make(maker) {}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RegistryConformance);

TEST_P(RegistryConformance, PushesTheWholeListFirstAndAgainWithEachChange) {
  run_task(loop_, [](const RegistryImplementation& of) -> Task<void> {
    Running running(of);
    running.subject->list({1, 2, 3});
    running.begin();
    co_await running.until_more(0);
    EXPECT_EQ(ports_of(running.kept.lists.front()), (Ports{1, 2, 3}));
    for (const Ports& next : {Ports{1, 2, 3, 4}, Ports{2, 4}, Ports{5}, Ports{1, 2, 3}}) {
      running.subject->list(next);
      co_await running.until_listed(next);
      for (const auto& list : running.kept.lists) EXPECT_FALSE(list.empty()) << "a part of a change";
    }
    EXPECT_TRUE(running.kept.errors.empty()) << running.kept.errors.front().message;
    EXPECT_FALSE(running.registry->name().empty());
  }(GetParam()));
}

TEST_P(RegistryConformance, AnEmptyListIsAListAndNoError) {
  run_task(loop_, [](const RegistryImplementation& of) -> Task<void> {
    Running running(of);
    running.subject->list({});
    running.begin();
    co_await running.until_listed({});
    running.subject->list({7});
    co_await running.until_listed({7});
    running.subject->list({});
    co_await running.until_listed({});
    EXPECT_TRUE(running.kept.errors.empty()) << running.kept.errors.front().message;
  }(GetParam()));
}

TEST_P(RegistryConformance, SaysAnErrorWhenItCannotBeAskedAndItsListAgainAfterwards) {
  run_task(loop_, [](const RegistryImplementation& of) -> Task<void> {
    Running running(of);
    running.subject->list({1, 2});
    running.begin();
    co_await running.until_more(0);
    for (int ill = 0; ill < 2; ++ill) {
      co_await turns(20);  // until it waits for a change
      const std::size_t errors = running.kept.errors.size();
      ill == 0 ? running.subject->be_ill() : running.subject->say_garbage();
      co_await running.until_an_error(errors);
      EXPECT_EQ(ports_of(running.kept.lists.back()), (Ports{1, 2})) << "what it said stays true";
      const std::size_t lists = running.kept.lists.size();
      running.subject->list({1, 2});
      co_await running.until_more(lists);
      EXPECT_EQ(ports_of(running.kept.lists.back()), (Ports{1, 2}));
    }
    // And so for one that is ill from the beginning on.
    Running late(of);
    late.subject->be_ill();
    late.begin();
    co_await late.until_an_error(0);
    EXPECT_TRUE(late.kept.lists.empty());
    late.subject->list({3});
    co_await late.until_listed({3});
  }(GetParam()));
}

TEST_P(RegistryConformance, OrderAndDuplicatesDoNotMatter) {
  run_task(loop_, [](const RegistryImplementation& of) -> Task<void> {
    Running running(of);
    running.subject->list({3, 1, 1, 2, 3});
    running.begin();
    co_await running.until_listed({1, 2, 3});
    running.subject->list({2, 3, 1});
    running.subject->list({4, 2, 2});
    co_await running.until_listed({2, 4});
    EXPECT_TRUE(running.kept.errors.empty()) << running.kept.errors.front().message;
  }(GetParam()));
}

TEST_P(RegistryConformance, OneThatIsDestroyedAnywhereLeavesNothing) {
  run_task(loop_, [](const RegistryImplementation& of) -> Task<void> {
    const auto subject = of.make();
    for (int state = 0; state < 3; ++state) {
      for (TurnCounts count; !count.over(); count.advance()) {
        subject->list({1, 2});
        if (state == 1) subject->be_ill();
        if (state == 2) subject->say_garbage();
        KeptInstances kept;
        {
          const auto registry = subject->make();
          (void)co_await first_of(registry->run(kept), turns(count.now()));
        }
        const std::size_t said = kept.lists.size() + kept.errors.size();
        subject->list({3});
        co_await turns(5);
        EXPECT_EQ(kept.lists.size() + kept.errors.size(), said) << "it is gone";
      }
    }
    subject->let_go();
    for (int i = 0; i < 10'000 && subject->open() > 0; ++i) co_await sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(subject->open(), 0U);
  }(GetParam()));
}

}  // namespace autoglm::cluster
