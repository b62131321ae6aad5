#include "engine/testing/scheduler_fixture.h"
#include "engine/testing/share_simulation.h"

#include <algorithm>

namespace autoglm::engine {
namespace {

using namespace std::chrono_literals;

double ratio(ShareSimulation& simulation, std::size_t one, std::size_t other) {
  return static_cast<double>(simulation.client(one).tokens) /
         static_cast<double>(simulation.client(other).tokens);
}

constexpr std::uint64_t kSeeds = 5;

TEST(GroupShares, AGuaranteedHalfIsAHalfWhileAnotherGroupFloods) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    ShareSimulation simulation(seed);
    simulation.scheduler().change_shares({{.name = "chat", .share = 0.5}, {.name = "batch"}});
    const auto chat = simulation.add({.group = "chat", .requests = 20});
    const auto batch = simulation.add({.group = "batch", .requests = 400});
    const auto others = simulation.add({.group = "", .requests = 400});
    simulation.run(20'000);
    const double rest =
        static_cast<double>(simulation.client(batch).tokens + simulation.client(others).tokens);
    EXPECT_NEAR(static_cast<double>(simulation.client(chat).tokens) / rest, 1, 0.1) << "seed " << seed;
  }
}

TEST(GroupShares, AShareHoldsAgainstPromptsWhereTheStreamsAreFew) {
  // The chat's work is answers alone, that of the others prompts alone.
  ShareSimulation simulation(1);
  simulation.scheduler().change_shares({{.name = "chat", .share = 0.5}});
  const auto chat = simulation.add({.group = "chat",
                                    .requests = 8,
                                    .least_prompt = 1,
                                    .most_prompt = 1,
                                    .least_answer = 500,
                                    .most_answer = 500});
  simulation.add({.group = "",
                  .requests = 50,
                  .least_prompt = 1000,
                  .most_prompt = 1000,
                  .least_answer = 1,
                  .most_answer = 1});
  for (int i = 0; i < 200; ++i) simulation.step();
  double streams = 0;  // of the steps' time
  double all = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto step = simulation.step();
    EXPECT_EQ(simulation.client(chat).ran, 8U);
    streams += step.decode_rows >= 8 ? 5.8 : 0;
    all += 5 + 0.1 * (step.decode_rows + step.prefill_rows);
  }
  EXPECT_GE(streams / all, 0.45);
}

TEST(GroupShares, WeightsOfThreeToOneGiveThreeToOne) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    ShareSimulation simulation(seed);
    simulation.scheduler().change_shares({{.name = "a", .weight = 3}, {.name = "b", .weight = 1}});
    const auto a = simulation.add({.group = "a"});
    const auto b = simulation.add({.group = "b", .requests = 300});
    simulation.run(20'000);
    EXPECT_NEAR(ratio(simulation, a, b), 3, 0.15) << "seed " << seed;
  }
}

TEST(GroupShares, WeightsHoldWhereAnswersEndTogetherAndFewWait) {
  ShareSimulation simulation(1, {.max_sequences = 8, .kv = {.cells = 8192}});
  simulation.scheduler().change_shares({{.name = "a", .weight = 3}, {.name = "b", .weight = 1}});
  const ShareSimulation::Client same{
      .requests = 9, .least_prompt = 8, .most_prompt = 8, .least_answer = 120, .most_answer = 120};
  const auto a = simulation.add(same);
  const auto b = simulation.add(same);
  simulation.client(a).group = "a";
  simulation.client(b).group = "b";
  simulation.run(20'000);
  EXPECT_NEAR(ratio(simulation, a, b), 3, 0.15);
}

TEST(GroupShares, TwoTenantsOfAGroupGetTheSameThoughOneSendsTwentyTimesAsMuch) {
  for (const char* group : {"chat", ""}) {
    ShareSimulation simulation(1);
    simulation.scheduler().change_shares({{.name = "chat", .share = 0.5}, {.name = "batch"}});
    const auto modest = simulation.add({.group = group, .tenant = 1, .requests = 20});
    const auto greedy = simulation.add({.group = group, .tenant = 2, .requests = 400});
    simulation.add({.group = "batch"});
    simulation.run(20'000);
    const double x = static_cast<double>(simulation.client(modest).tokens);
    const double y = static_cast<double>(simulation.client(greedy).tokens);
    EXPECT_GE((x + y) * (x + y) / (2 * (x * x + y * y)), 0.95) << "Jain's index, group \"" << group << "\"";
  }
}

TEST(GroupShares, TenantsGetTheSameWithShortPromptsAndAnswersOfOtherLengths) {
  ShareSimulation simulation(1, {.max_sequences = 8, .kv = {.cells = 8192}});
  simulation.scheduler().change_shares({});
  const auto modest = simulation.add({.tenant = 1,
                                      .requests = 8,
                                      .least_prompt = 8,
                                      .most_prompt = 8,
                                      .least_answer = 40,
                                      .most_answer = 40});
  const auto greedy = simulation.add({.tenant = 2,
                                      .requests = 160,
                                      .least_prompt = 8,
                                      .most_prompt = 8,
                                      .least_answer = 160,
                                      .most_answer = 160});
  simulation.run(20'000);
  EXPECT_NEAR(ratio(simulation, modest, greedy), 1, 0.1);
}

TEST(GroupShares, WhoHasWaitedForSequencesDoesNotStopThePromptsOfOthers) {
  ShareSimulation simulation(1, {.kv = {.cells = 131'072}});
  simulation.scheduler().change_shares({{.name = "chat", .share = 0.5}});
  const auto chat = simulation.add({.group = "chat",
                                    .requests = 32,
                                    .least_prompt = 8,
                                    .most_prompt = 8,
                                    .least_answer = 2000,
                                    .most_answer = 2000});
  simulation.step();
  const auto batch = simulation.add(
      {.requests = 32, .least_prompt = 1000, .most_prompt = 1000, .least_answer = 1, .most_answer = 1});
  ShareSimulation::Client& client = simulation.client(chat);
  client.least_prompt = client.most_prompt = 200;
  client.least_answer = client.most_answer = 50;
  for (int i = 0; i < 5000 && simulation.client(batch).ran == 0; ++i) simulation.step();
  double chat_read = 0;
  double batch_read = 0;
  for (int i = 0; i < 300; ++i) {
    for (const auto& slice : simulation.step().slices)
      if (slice.count > 1) (slice.group == kNoGroup ? batch_read : chat_read) += slice.count;
  }
  EXPECT_GT(chat_read, batch_read / 4);
}

TEST(GroupShares, SharesOfAllOfTheEngineStarveNobody) {
  ShareSimulation simulation(1);
  simulation.scheduler().change_shares({{.name = "a", .share = 0.5}, {.name = "b", .share = 0.5}});
  const auto a = simulation.add({.group = "a"});
  const auto b = simulation.add({.group = "b"});
  const auto others = simulation.add({});
  simulation.run(20'000);
  EXPECT_GT(simulation.client(others).tokens, 0U);
  EXPECT_LT(ratio(simulation, others, a), 0.15);
  EXPECT_NEAR(ratio(simulation, a, b), 1, 0.15);
}

TEST(GroupShares, PromptsAreReadInTheirGroupsTurns) {
  ShareSimulation simulation(1);
  simulation.scheduler().change_shares({{.name = "a"}, {.name = "b"}});
  const auto many = simulation.add({.group = "a",
                                    .requests = 12,
                                    .least_prompt = 1000,
                                    .most_prompt = 1000,
                                    .least_answer = 1,
                                    .most_answer = 1});
  const auto one = simulation.add({.group = "b",
                                   .requests = 2,
                                   .least_prompt = 1000,
                                   .most_prompt = 1000,
                                   .least_answer = 1,
                                   .most_answer = 1});
  simulation.run(2000);
  EXPECT_NEAR(ratio(simulation, one, many), 1, 0.1);
}

TEST(GroupShares, WhatIsIdleIsBorrowedAndGivenBackAtOnce) {
  ShareSimulation simulation(1);
  simulation.scheduler().change_shares({{.name = "chat", .share = 0.5}, {.name = "batch", .max = 0.8}});
  const auto batch = simulation.add({.group = "batch"});
  simulation.run(200);
  EXPECT_EQ(simulation.client(batch).ran, 12U) << "of 16, up to its maximum";
  const auto chat = simulation.add({.group = "chat"});
  const auto step = simulation.step();
  EXPECT_EQ(simulation.client(chat).ran, 8U);
  EXPECT_EQ(simulation.client(batch).ran, 8U);
  EXPECT_EQ(step.preempted.size(), 4U);
  simulation.client(chat).requests = 0;
  simulation.run(2000);
  EXPECT_EQ(simulation.client(chat).running, 0U);
  EXPECT_EQ(simulation.client(batch).ran, 12U);
  EXPECT_GT(simulation.client(batch).tokens, 0U);
}

TEST(GroupShares, ChangeForSequencesThatWait) {
  ShareSimulation simulation(1);
  simulation.scheduler().change_shares({{.name = "a", .max = 0.25}, {.name = "b", .max = 0.25}});
  const auto a = simulation.add({.group = "a"});
  const auto b = simulation.add({.group = "b"});
  simulation.run(10);
  EXPECT_EQ(simulation.client(a).ran, 4U);
  EXPECT_EQ(simulation.client(b).ran, 4U);
  simulation.scheduler().change_shares({{.name = "a", .share = 0.75}, {.name = "b"}});
  simulation.step();
  EXPECT_EQ(simulation.client(a).ran, 12U);
  EXPECT_EQ(simulation.client(b).ran, 4U);
  simulation.scheduler().change_shares({});
  simulation.run(5000);
  EXPECT_NEAR(ratio(simulation, a, b), 1, 0.2) << "new requests belong to no group; all are of one tenant";
}

TEST(GroupShares, NothingIsIdleWhileWorkWaitsBelowItsMaximum) {
  std::mt19937_64 random(7);
  for (int world = 0; world < 30; ++world) {
    ShareSimulation simulation(static_cast<std::uint64_t>(world));
    const double max = 0.1 * static_cast<double>(2 + random() % 8);
    std::vector<GroupShare> groups = {{.name = "a", .share = 0.3, .max = std::max(max, 0.3)},
                                      {.name = "b", .share = 0.2, .weight = 4},
                                      {.name = "c", .max = max}};
    simulation.scheduler().change_shares(groups);
    for (const char* group : {"a", "b", "c", ""})
      simulation.add({.group = group, .requests = static_cast<std::uint32_t>(random() % 12)});
    for (int i = 0; i < 400; ++i) {
      simulation.client(random() % 4).requests = static_cast<std::uint32_t>(random() % 12);
      const auto step = simulation.step();
      std::uint32_t running = 0;
      for (std::size_t k = 0; k < 4; ++k) running += simulation.client(k).ran;
      for (std::size_t k = 0; k < 4; ++k) {
        const auto& client = simulation.client(k);
        const auto most = k < 3 ? std::max(1U, static_cast<std::uint32_t>(groups[k].max * 16 + 1e-6)) : 16U;
        if (running < 16 && client.waited > 0)
          EXPECT_EQ(client.ran, most) << "world " << world << ", step " << i << ", client " << k;
        EXPECT_LE(client.ran, most);
      }
      if (running > 0) EXPECT_FALSE(step.slices.empty()) << "world " << world << ", step " << i;
    }
  }
}

TEST(GroupShares, APriorityHoldsWithinItsGroup) {
  ShareSimulation simulation(1);
  simulation.scheduler().change_shares({{.name = "a"}, {.name = "b"}});
  const auto urgent = simulation.add({.group = "a", .requests = 200, .priority = 9});
  const auto patient = simulation.add({.group = "a", .tenant = 1, .requests = 200});
  const auto other = simulation.add({.group = "b"});
  simulation.run(3000);
  EXPECT_NEAR(ratio(simulation, urgent, other), 1, 0.1);
  EXPECT_LT(ratio(simulation, patient, urgent), 0.2);
}

/// Sequences of groups, one by one: the chat owns half of eight slots, and the cache has 1024 cells.
class GroupAdmissionTest : public SchedulerTest {
 protected:
  GroupAdmissionTest() {
    use({.max_sequences = 8, .kv = {.cells = 1024}});
    scheduler_->change_shares({{.name = "chat", .share = 0.5}, {.name = "batch"}});
  }
  void add_to(const char* group, std::uint64_t key, std::uint32_t count, std::uint32_t slots = 1) {
    auto tokens = std::make_unique<std::vector<TokenId>>(count, static_cast<TokenId>(key));
    scheduler_->add({.key = SequenceKey{key},
                     .tokens = tokens.get(),
                     .slots = slots,
                     .group = scheduler_->shares().find(group),
                     .arrived = now_});
    tokens_[SequenceKey{key}] = std::move(tokens);
  }
  /// 750 cells are the chat's, of three of its four slots, and 100 the batch's.
  void fill() {
    for (const std::uint64_t key : {1U, 2U, 3U}) add_to("chat", key, 250);
    add_to("batch", 11, 100);
    for (int i = 0; i < 4; ++i) step();
  }
};

TEST_F(GroupAdmissionTest, NoneMakesWayInVainAndOtherGroupsGoOn) {
  fill();
  add_to("chat", 4, 400);
  add_to("batch", 12, 50);
  const auto planned = step();
  EXPECT_TRUE(planned.preempted.empty()) << "100 cells are not enough";
  EXPECT_EQ(admitted(planned), std::vector{SequenceKey{12}});
}

TEST_F(GroupAdmissionTest, OneMakesWayWhereThatIsEnough) {
  fill();
  add_to("chat", 4, 200);
  const auto planned = step();
  EXPECT_EQ(planned.preempted, std::vector{SequenceKey{11}});
  EXPECT_EQ(admitted(planned), std::vector{SequenceKey{4}});
}

TEST_F(SchedulerTest, CellsThatOthersShareAreNotTakenInVain) {
  use({.max_sequences = 8, .kv = {.cells = 512}});
  add(kA, 320, 1, 5, 304);
  step();
  add(kB, 320, 1, 0, 304);
  step();
  add(kC, 190, 1, 3);
  EXPECT_TRUE(step().preempted.empty()) << "without B there are 16 cells more";
}

TEST_F(GroupAdmissionTest, ARequestLargerThanTheShareDoesNotBlockIt) {
  for (std::uint64_t key = 11; key < 19; ++key) add_to("batch", key, 10);
  step();
  ASSERT_EQ(scheduler_->running(), 8U);
  add_to("chat", 1, 10, 6);
  add_to("chat", 2, 10);
  add_to("chat", 3, 10);
  EXPECT_EQ(admitted(step()), (std::vector{kB, kC})) << "its share has room for four";
  EXPECT_EQ(scheduler_->running(), 8U);
}

TEST_F(GroupAdmissionTest, ARequestLargerThanTheShareIsNotOvertakenForEver) {
  add_to("chat", 1, 10);
  step();
  add_to("chat", 2, 10, 8);
  add_to("chat", 3, 10);
  EXPECT_EQ(admitted(step()), std::vector{kC});
  now_ += 6s;
  add_to("chat", 4, 10);
  EXPECT_TRUE(admitted(step()).empty());
  scheduler_->remove(kA);
  scheduler_->remove(kC);
  EXPECT_EQ(admitted(step()), std::vector{kB});
}

TEST_F(GroupAdmissionTest, WhatWaitsForAGroupThatIsGoneIsAdmitted) {
  add_to("chat", 1, 10);
  scheduler_->change_shares({});
  add_to("", 2, 10);
  EXPECT_EQ(admitted(step()).size(), 2U);
}

TEST_F(GroupAdmissionTest, WhoWasOvertakenForLongKeepsItsTurn) {
  fill();
  add_to("chat", 4, 400);
  add_to("batch", 12, 20);
  EXPECT_EQ(admitted(step()), std::vector{SequenceKey{12}});
  now_ += 6s;
  add_to("batch", 13, 20);
  EXPECT_TRUE(admitted(step()).empty());
  scheduler_->remove(kA);
  scheduler_->remove(kB);
  EXPECT_EQ(admitted(step()), (std::vector{SequenceKey{4}, SequenceKey{13}}));
}

TEST_F(SchedulerTest, AnOldStreamGivesWayOnceToAHigherPriority) {
  use({.max_sequences = 1});
  add(kA, 10);
  step();
  append(kA);
  now_ += 100s;  // by its age it would come before the other one again
  add(kB, 10, 1, 5);
  const auto planned = step();
  EXPECT_EQ(planned.preempted, std::vector{kA});
  EXPECT_EQ(admitted(planned), std::vector{kB});
}

TEST_F(SchedulerTest, ATenantIsChargedOnceForWhatWasSentBack) {
  use({.max_sequences = 1});
  std::vector<std::vector<TokenId>> prompts(8);
  const auto ask = [&](std::uint64_t key, std::uint64_t tenant, std::uint32_t tokens,
                       std::uint8_t priority = 0) {
    prompts[key].assign(tokens, static_cast<TokenId>(key));
    scheduler_->add({.key = SequenceKey{key},
                     .tokens = &prompts[key],
                     .priority = priority,
                     .tenant = tenant,
                     .arrived = now_});
  };
  const auto begun = [&] { return admitted(step()).at(0).value; };
  ask(1, 1, 1000);
  ask(2, 2, 900);
  ask(3, 2, 900);
  EXPECT_EQ(begun(), 1U);
  ask(4, 3, 10, 5);
  EXPECT_EQ(begun(), 4U) << "and the first one goes back";
  scheduler_->remove(SequenceKey{4});
  for (const std::uint64_t next : {2, 3}) {
    EXPECT_EQ(begun(), next);
    ask(next + 3, 2, 10);  // 5 and 6
    scheduler_->remove(SequenceKey{next});
  }
  ask(7, 1, 10);
  EXPECT_EQ(begun(), 1U) << "with 1000 tokens against 1800";
  scheduler_->remove(SequenceKey{1});
  EXPECT_EQ(begun(), 7U) << "with 1001, and not 2000";
}

}  // namespace
}  // namespace autoglm::engine
