#include "config/binding.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace autoglm::config {
namespace {

TEST(Binding, KeepsASnapshotUnchanged) {
  Binding<std::string> binding("old");
  const auto before = binding.get();
  binding.set("new");
  EXPECT_EQ(*before, "old");
  EXPECT_EQ(*binding.get(), "new");
}

TEST(Binding, CallsBackUntilTheTokenIsDropped) {
  Binding<int> binding(1);
  std::vector<std::pair<int, int>> seen;
  auto token =
      binding.subscribe([&](const auto& before, const auto& after) { seen.emplace_back(*before, *after); });
  binding.set(2);
  binding.set(3);
  token.reset();
  binding.set(4);
  EXPECT_EQ(seen, (std::vector<std::pair<int, int>>{{1, 2}, {2, 3}}));
}

TEST(Binding, ItsTokensMayOutliveIt) {
  std::shared_ptr<void> token;
  {
    Binding<int> binding(1);
    token = binding.subscribe([](const auto&, const auto&) {});
  }
  token.reset();
}

TEST(Binding, ShowsReadersOnlyWholeValuesAndNeverAnOlderOne) {
  struct Pair {
    int a;
    int b;
  };
  constexpr int kLast = 2000;
  Binding<Pair> binding(Pair{0, 0});
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      Binding<Pair>::Reader reader(binding);
      for (int last = 0; last < kLast;) {
        const auto& pair = *reader.get();
        if (pair.a != pair.b || pair.a < last) ++wrong;
        last = pair.a;
      }
    });
  }
  for (int i = 1; i <= kLast; ++i) binding.set({i, i});
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Binding, TellsChangesOnceAndInOrderWhenSeveralSet) {
  Binding<int> binding(-1);
  int previous = -1;
  int calls = 0;
  int broken = 0;
  const auto token = binding.subscribe([&](const auto& before, const auto& after) {
    if (*before != previous) ++broken;
    previous = *after;
    ++calls;
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&binding, t] {
      for (int i = 0; i < 250; ++i) binding.set(t * 1000 + i);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(calls, 1000);
  EXPECT_EQ(broken, 0);
}

}  // namespace
}  // namespace autoglm::config
