#include "gateway/front/http/response_store.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace autoglm::gateway {
namespace {

using namespace std::chrono_literals;

const MonotonicTime kStart{1h};

std::shared_ptr<ConversationStep> step(std::string text,
                                       std::shared_ptr<const ConversationStep> before = nullptr) {
  auto made = std::make_shared<ConversationStep>();
  ChatMessage& message = made->messages.emplace_back();
  message.role = "user";
  message.content = std::move(text);
  made->before = std::move(before);
  return made;
}

void put(ResponseStore& store, std::string_view tenant, std::string_view id, std::string document,
         MonotonicTime now = kStart, std::shared_ptr<const ConversationStep> before = nullptr) {
  auto made = step(document, std::move(before));
  store.put(tenant, id, {.document = std::move(document), .items = {"{}"}, .step = nullptr}, std::move(made),
            now);
}

TEST(ResponseStore, FindsWhatWasPutUntilItIsErased) {
  ResponseStore store({});
  put(store, "ann", "r1", "one");
  put(store, "ann", "r2", "two");
  ASSERT_NE(store.find("ann", "r1", kStart), nullptr);
  EXPECT_EQ(store.find("ann", "r1", kStart)->document, "one");
  EXPECT_EQ(store.find("ann", "r2", kStart)->step->messages.at(0).content, "two");
  EXPECT_TRUE(store.erase("ann", "r1", kStart));
  EXPECT_FALSE(store.erase("ann", "r1", kStart));
  EXPECT_EQ(store.find("ann", "r1", kStart), nullptr);
  EXPECT_NE(store.find("ann", "r2", kStart), nullptr);
}

TEST(ResponseStore, ATenantFindsOnlyItsOwn) {
  ResponseStore store({});
  put(store, "ann", "r1", "hers");
  put(store, "bob", "r1", "his");
  put(store, "", "r1", "nobody's");
  EXPECT_EQ(store.find("ann", "r1", kStart)->document, "hers");
  EXPECT_EQ(store.find("bob", "r1", kStart)->document, "his");
  EXPECT_EQ(store.find("", "r1", kStart)->document, "nobody's");
  EXPECT_EQ(store.find("annr", "1", kStart), nullptr);
  EXPECT_EQ(store.find("eve", "r1", kStart), nullptr);
  EXPECT_FALSE(store.erase("eve", "r1", kStart));
  EXPECT_EQ(store.size(), 3U);
}

TEST(ResponseStore, ResponsesExpire) {
  ResponseStore store({.ttl = 10min});
  put(store, "ann", "r1", "one");
  put(store, "ann", "r2", "two", kStart + 5min);
  EXPECT_NE(store.find("ann", "r1", kStart + 9min), nullptr);
  EXPECT_EQ(store.find("ann", "r1", kStart + 10min), nullptr);
  EXPECT_EQ(store.size(), 1U);
  EXPECT_FALSE(store.erase("ann", "r2", kStart + 15min));
  EXPECT_EQ(store.bytes(), 0U);
}

TEST(ResponseStore, TheOldestMakeRoomForTheNewest) {
  ResponseStore store({.max_bytes = 100'000});
  for (int i = 0; i < 100; ++i) {
    put(store, "ann", "r" + std::to_string(i), std::string(5'000, 'x'));
    EXPECT_LE(store.bytes(), 100'000U);
  }
  EXPECT_LT(store.size(), 10U);
  EXPECT_GT(store.size(), 5U);
  EXPECT_EQ(store.find("ann", "r0", kStart), nullptr);
  EXPECT_NE(store.find("ann", "r99", kStart), nullptr);
  put(store, "ann", "huge", std::string(200'000, 'x'));
  EXPECT_EQ(store.find("ann", "huge", kStart), nullptr);
  EXPECT_NE(store.find("ann", "r99", kStart), nullptr) << "nothing has to go for what cannot be kept";
}

TEST(ResponseStore, AnIdThatComesAgainIsReplaced) {
  ResponseStore store({});
  put(store, "ann", "r1", "one");
  const std::size_t once = store.bytes();
  put(store, "ann", "r1", "two");
  EXPECT_EQ(store.find("ann", "r1", kStart)->document, "two");
  EXPECT_EQ(store.size(), 1U);
  EXPECT_EQ(store.bytes(), once);
}

TEST(ResponseStore, AStepLivesAsLongAsOthersGoOnFromIt) {
  ResponseStore store({});
  put(store, "ann", "r1", "one");
  put(store, "ann", "r2", "two", kStart, store.find("ann", "r1", kStart)->step);
  const std::size_t both = store.bytes();
  EXPECT_TRUE(store.erase("ann", "r1", kStart));
  EXPECT_EQ(store.find("ann", "r2", kStart)->step->before->messages.at(0).content, "one");
  EXPECT_GT(store.bytes(), both / 2) << "the first step is counted still";
  EXPECT_TRUE(store.erase("ann", "r2", kStart));
  EXPECT_EQ(store.bytes(), 0U);
}

TEST(ResponseStore, AllThatIsUsedElsewhereLeavesNoRoom) {
  ResponseStore store({.max_bytes = 20'000});
  put(store, "ann", "r1", std::string(8'000, 'x'));
  const auto used = store.find("ann", "r1", kStart);
  put(store, "ann", "r2", std::string(8'000, 'x'));
  EXPECT_EQ(store.size(), 0U);
  EXPECT_LE(store.bytes(), 20'000U);
}

TEST(ResponseStore, NothingHasToGoForWhatIsBeingAnswered) {
  ResponseStore store({.max_bytes = 50'000});
  put(store, "ann", "r1", std::string(8'000, 'x'));
  put(store, "ann", "r2", std::string(8'000, 'x'));
  {
    const auto held = store.hold(*step(std::string(20'000, 'x')), {"{}"});
    ASSERT_NE(held, nullptr) << "a full store takes new ones";
    EXPECT_EQ(store.hold(*step(std::string(20'000, 'x')), {}), nullptr);
    EXPECT_EQ(store.size(), 2U);
    EXPECT_GT(store.bytes(), 50'000U);
  }
  EXPECT_LT(store.bytes(), 50'000U);
}

TEST(ResponseStore, ATenantsOwnResponsesMakeRoomFirst) {
  ResponseStore store({.max_bytes = 60'000});
  put(store, "ann", "r1", std::string(8'000, 'x'));
  put(store, "bob", "r1", std::string(8'000, 'x'));
  put(store, "bob", "r2", std::string(8'000, 'x'));
  put(store, "bob", "r3", std::string(8'000, 'x'));
  EXPECT_NE(store.find("ann", "r1", kStart), nullptr) << "the oldest of all";
  EXPECT_EQ(store.find("bob", "r1", kStart), nullptr);
  EXPECT_NE(store.find("bob", "r3", kStart), nullptr);
  put(store, "eve", "r1", std::string(8'000, 'x'));
  EXPECT_EQ(store.find("ann", "r1", kStart), nullptr) << "of a tenant that has none, the oldest of all";
  EXPECT_NE(store.find("eve", "r1", kStart), nullptr);
}

TEST(ResponseStore, ServesAllLoopsAtOnce) {
  ResponseStore store({.max_bytes = 200'000, .ttl = 50ms});
  std::vector<std::thread> loops;
  for (int loop = 0; loop < 4; ++loop) {
    loops.emplace_back([&store, loop] {
      const std::string tenant(1, static_cast<char>('a' + loop / 2));
      for (int i = 0; i < 2'000; ++i) {
        const MonotonicTime now = kStart + std::chrono::milliseconds(i);
        const std::string id = "r" + std::to_string(i % 50);
        const auto before = store.find(tenant, id, now);
        if (before) {
          EXPECT_TRUE(before->document.starts_with(tenant));
          EXPECT_EQ(before->step->messages.size(), 1U);
        }
        put(store, tenant, id, tenant + std::string(1'000, 'x'), now);
        if (i % 7 == 0) store.erase(tenant, id, now);
        EXPECT_LE(store.bytes(), 220'000U);  // each loop may have counted one that it will not keep
      }
    });
  }
  for (std::thread& loop : loops) loop.join();
  const MonotonicTime end = kStart + 1h;
  EXPECT_EQ(store.find("a", "r0", end), nullptr);
  EXPECT_EQ(store.size(), 0U);
  EXPECT_EQ(store.bytes(), 0U);
}

}  // namespace
}  // namespace autoglm::gateway
