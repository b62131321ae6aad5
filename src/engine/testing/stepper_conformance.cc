#include "engine/testing/stepper_conformance.h"

#include <algorithm>
#include <iterator>

namespace autoglm::engine {

StepperImplementation::StepperImplementation(const BackendImplementation& backend)
    : BackendImplementation(backend) {}

StepperConformance::~StepperConformance() = default;

TokenId StepperConformance::feed(std::int32_t sequence, const std::vector<TokenId>& tokens,
                                 std::int32_t position) {
  std::vector<BatchRow> rows;
  for (const TokenId token : tokens) rows.push_back({token, position++, sequence, false});
  rows.back().wants_logits = true;
  EXPECT_EQ(decode(rows, threads_), DecodeStatus::kOk);
  return best(rows.size() - 1);
}

TokenId StepperConformance::best(std::size_t row) {
  const auto logits = stepper_.logits(row);
  return static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
}

std::vector<TokenId> StepperConformance::generate(std::int32_t sequence, const std::vector<TokenId>& prompt,
                                                  int count) {
  std::vector<TokenId> out = {feed(sequence, prompt)};
  auto position = static_cast<std::int32_t>(prompt.size());
  while (static_cast<int>(out.size()) < count) out.push_back(feed(sequence, {out.back()}, position++));
  return out;
}

namespace {

TEST_P(StepperConformance, TellsWhatItIs) {
  const StepperFacts& facts = stepper_.facts();
  EXPECT_EQ(facts.context_length, 256U);
  EXPECT_EQ(facts.cache_cells, BackendImplementation::kCells);
  EXPECT_EQ(facts.max_sequences, BackendImplementation::kSequences);
  EXPECT_EQ(facts.max_batch, BackendImplementation::kBatch);
  EXPECT_GE(facts.sequence_ids, (facts.shares_prefixes ? 2 : 1) * facts.max_sequences);
}

TEST_P(StepperConformance, HasALogitForEveryTokenOfTheVocabulary) {
  feed(0, tokens("Hello"));
  EXPECT_EQ(stepper_.logits(tokens("Hello").size() - 1).size(), backend_.vocabulary->facts().size);
}

TEST_P(StepperConformance, SaysTheSameWhateverThreadsComputeAStep) {
  if (stepper_.facts().threads == 1) GTEST_SKIP() << "one thread computes its steps";
  const auto by_one = generate(0, tokens("Hello there"), 8);
  stepper_.apply(forget(0));
  const auto prompt = tokens("Hello there");
  std::vector<TokenId> by_many;
  auto position = static_cast<std::int32_t>(prompt.size());
  for (int i = 0; i < 8; ++i) {
    threads_ = 1 + static_cast<std::uint32_t>(i) % stepper_.facts().threads;
    by_many.push_back(i == 0 ? feed(0, prompt) : feed(0, {by_many.back()}, position++));
  }
  EXPECT_EQ(by_many, by_one);
}

TEST_P(StepperConformance, SaysTheSameAloneAndInABatch) {
  const auto alone = generate(0, tokens("Hello there"), 8);
  stepper_.apply(forget(0));
  // Beside another sequence, one token of each per step.
  auto mine = tokens("Hello there");
  auto other = tokens("Something else");
  TokenId next_mine = feed(1, mine);
  TokenId next_other = feed(2, other);
  std::vector<TokenId> together = {next_mine};
  auto at_mine = static_cast<std::int32_t>(mine.size());
  auto at_other = static_cast<std::int32_t>(other.size());
  for (int i = 1; i < 8; ++i) {
    const BatchRow rows[] = {{next_other, at_other++, 2, true}, {next_mine, at_mine++, 1, true}};
    ASSERT_EQ(decode(rows), DecodeStatus::kOk);
    next_other = best(0);
    next_mine = best(1);
    together.push_back(next_mine);
  }
  EXPECT_EQ(together, alone);
}

TEST_P(StepperConformance, SaysTheSameInChunks) {
  const auto prompt = tokens("A prompt of some length, to be read in pieces");
  const TokenId whole = feed(0, prompt);
  for (std::size_t i = 0; i + 1 < prompt.size(); i += 5) {
    const std::size_t end = std::min(i + 5, prompt.size() - 1);
    feed(1,
         {prompt.begin() + static_cast<std::ptrdiff_t>(i), prompt.begin() + static_cast<std::ptrdiff_t>(end)},
         static_cast<std::int32_t>(i));
  }
  EXPECT_EQ(feed(1, {prompt.back()}, static_cast<std::int32_t>(prompt.size()) - 1), whole);
}

TEST_P(StepperConformance, SavedCellsComeBackAsTheyWereWhereverThereIsRoom) {
  if (stepper_.facts().cell_bytes == 0) GTEST_SKIP() << "it saves nothing";
  std::vector<TokenId> prompt;
  while (prompt.size() < 100) {  // more than one piece, and more than one step
    const auto more = tokens("A beginning that is saved, word for word");
    prompt.insert(prompt.end(), more.begin(), more.end());
  }
  prompt.resize(100);
  const std::uint32_t length = 100;
  feed(0, {prompt.begin(), prompt.begin() + 60});
  feed(0, {prompt.begin() + 60, prompt.end()}, 60);
  using enum KvOperation::Kind;
  const TokenId probe = prompt.front();
  stepper_.apply(share(0, 1, length));
  const TokenId expected = feed(1, {probe}, static_cast<std::int32_t>(length));
  stepper_.apply(forget(1));
  stepper_.apply({.kind = kSave, .from = 0, .begin = 0, .end = length, .state = 7});
  for (const std::uint32_t kept : {0U, 16U, 64U, length - 3}) {
    stepper_.apply(share(0, 2, kept));
    feed(3, tokens("Somebody else takes a place between"));
    stepper_.apply({.kind = kRestore, .to = 2, .begin = kept, .end = length, .state = 7});
    EXPECT_EQ(feed(2, {probe}, static_cast<std::int32_t>(length)), expected) << "with " << kept << " kept";
    stepper_.apply(forget(2));
    stepper_.apply(forget(3));
  }
  stepper_.apply({.kind = kDrop, .state = 7});
}

TEST_P(StepperConformance, SaysTheSameInALargeStepBesideStreams) {
  // In lockstep, so that the cells of each stream are scattered among the others'.
  const auto text = tokens("a text that four streams have said so far");
  const auto last = static_cast<std::int32_t>(text.size()) - 1;
  for (std::int32_t i = 0; i < last; ++i) {
    std::vector<BatchRow> rows;
    for (std::int32_t stream = 0; stream < 4; ++stream)
      rows.push_back({text[static_cast<std::size_t>(i)], i, stream, false});
    ASSERT_EQ(decode(rows), DecodeStatus::kOk);
  }
  std::vector<TokenId> prompt;
  while (prompt.size() < 60) std::ranges::copy(tokens("so many words at once "), std::back_inserter(prompt));
  prompt.resize(60);
  feed(4, {prompt.begin(), prompt.begin() + 30});
  const TokenId behind_prompt = feed(4, {prompt.begin() + 30, prompt.end()}, 30);
  const TokenId behind_text = feed(0, {text.back()}, last);
  stepper_.apply(forget(4));
  stepper_.apply(forget(0, static_cast<std::uint32_t>(last)));

  std::vector<BatchRow> rows;
  for (std::int32_t stream = 0; stream < 4; ++stream) rows.push_back({text.back(), last, stream, true});
  for (std::int32_t i = 0; i < 60; ++i) rows.push_back({prompt[static_cast<std::size_t>(i)], i, 4, i == 59});
  ASSERT_EQ(decode(rows), DecodeStatus::kOk);
  for (std::size_t stream = 0; stream < 4; ++stream) EXPECT_EQ(best(stream), behind_text) << stream;
  EXPECT_EQ(best(63), behind_prompt);
}

TEST_P(StepperConformance, SharedCellsCountOnceAndOutliveTheirFirstOwner) {
  if (!stepper_.facts().shares_prefixes) GTEST_SKIP() << "it shares no cells";
  const auto prompt = tokens("A beginning that several have in common, word for word");
  const auto length = static_cast<std::uint32_t>(prompt.size());
  const auto expected = generate(0, prompt, 6);
  stepper_.apply(forget(0, length));
  for (std::int32_t to = 1; to < 8; ++to) stepper_.apply(share(0, to, length));
  stepper_.apply(forget(0));
  for (std::int32_t to = 1; to < 8; ++to) {
    std::vector<TokenId> said = {expected[0]};
    auto position = static_cast<std::int32_t>(length);
    while (said.size() < expected.size()) said.push_back(feed(to, {said.back()}, position++));
    EXPECT_EQ(said, expected) << to;
  }
}

TEST_P(StepperConformance, AFullCacheRefusesAndChangesNothing) {
  const auto expected = generate(0, tokens("Hello"), 5);
  stepper_.apply(forget(0));
  const TokenId first = feed(0, tokens("Hello"));
  const std::vector<TokenId> filler(60, 65);
  std::int32_t filled = 0;
  for (std::uint32_t used = 0; used + 60 + tokens("Hello").size() + 10 <= BackendImplementation::kCells;
       used += 60) {
    feed(7, filler, filled);
    filled += 60;
  }
  std::vector<BatchRow> rows;
  for (std::int32_t i = 0; i < 64; ++i) rows.push_back({65, filled + i, 7, i == 63});
  EXPECT_EQ(decode(rows), DecodeStatus::kNoRoom);
  stepper_.apply(forget(7));
  // The first sequence is unchanged, and there is room again.
  std::vector<TokenId> said = {first};
  auto position = static_cast<std::int32_t>(tokens("Hello").size());
  while (said.size() < expected.size()) said.push_back(feed(0, {said.back()}, position++));
  EXPECT_EQ(said, expected);
  feed(7, filler);
}

TEST_P(StepperConformance, AnAbortedStepCanBeDoneAgain) {
  const auto prompt = tokens("Hello there, this is a prompt");
  const TokenId expected = feed(0, prompt);
  std::vector<BatchRow> rows;
  for (std::size_t i = 0; i < prompt.size(); ++i)
    rows.push_back({prompt[i], static_cast<std::int32_t>(i), 1, i + 1 == prompt.size()});
  stop_.set();
  EXPECT_EQ(decode(rows), DecodeStatus::kAborted);
  stop_.clear();
  stepper_.apply(forget(1));
  EXPECT_EQ(feed(1, prompt), expected);
}

}  // namespace
}  // namespace autoglm::engine
