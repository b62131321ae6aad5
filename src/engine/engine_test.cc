#include "engine/testing/engine_fixture.h"
#include "inference/prefix_digests.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <string>

namespace autoglm::engine {
namespace {

using namespace std::chrono_literals;

std::vector<GenerateRequest> crowd() {
  std::vector<GenerateRequest> all;
  for (std::uint32_t i = 0; i < 24; ++i) {
    const std::string beginning =
        i % 2 == 0 ? "A common beginning, the same for every other one of them; " : "";
    all.push_back(ask(beginning + "number " + std::to_string(i), 5 + 7 * (i % 9),
                      i % 3 == 0 ? std::optional<std::uint64_t>() : i));
  }
  return all;
}

void expect_texts_together(EngineFixture& engine, const std::vector<GenerateRequest>& all,
                           const std::vector<std::string>& wanted) {
  const auto outcomes = engine.run_together(all);
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_FALSE(outcomes[i].error) << outcomes[i].error->message;
    EXPECT_EQ(outcomes[i].texts.at(0), wanted[i]) << i;
  }
  engine.run(EngineFixture::eventually([&engine] { return engine.idle(); }));
}

// Design §6.8: text does not depend on load.
void expect_same_text_under_load(EngineFixture& roomy, EngineFixture& tight) {
  const auto all = crowd();
  std::vector<std::string> alone;
  for (const GenerateRequest& work : all) alone.push_back(roomy.run(work).texts.at(0));
  expect_texts_together(roomy, all, alone);
  const auto still_zero = [&tight](const std::string& counter) {
    return tight.exposed().find(counter + "{model_name=\"m\"} 0\n") != std::string::npos;
  };
  // Whether a preempted sequence's tokens are still cached when it comes back depends on the steps' times.
  constexpr int kRounds = 30;
  for (int round = 0; round < kRounds && still_zero("autoglm_engine_restored_tokens_total"); ++round)
    expect_texts_together(tight, all, alone);
  EXPECT_FALSE(still_zero("vllm:num_preemptions_total"))
      << "the small cache was not small enough to test anything";
  EXPECT_FALSE(still_zero("autoglm_engine_restored_tokens_total"));
}

TEST(Engine, TextDoesNotDependOnLoadOnTheFake) {
  FakeEngine roomy;
  FakeEngine tight({.context = 200, .cells = 320});
  expect_same_text_under_load(*roomy.fixture, *tight.fixture);
}

TEST(Engine, TextDoesNotDependOnLoadOnTheTinyModel) {
  const auto roomy = make_tiny(2048);
  const auto tight = make_tiny(256);
  expect_same_text_under_load(*roomy, *tight);
}

TEST(Engine, TextDoesNotDependOnSharingPrefixes) {
  FakeEngine sharing;
  FakeEngine apart({}, {.prefix_cache = false});
  FakeEngine unable({.shares_prefixes = false});
  const auto all = crowd();
  const auto a = sharing.fixture->run_together(all);
  const auto b = apart.fixture->run_together(all);
  const auto c = unable.fixture->run_together(all);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(a[i].texts, b[i].texts);
    EXPECT_EQ(a[i].texts, c[i].texts);
  }
  EXPECT_LT(sharing.stepper->rows(), apart.stepper->rows());
}

TEST(Engine, ForksChoicesFromOnePrompt) {
  FakeEngine engine;
  auto work = ask("a prompt that is read once, of some length", 20, 5);
  work.n = 4;
  const Outcome all = engine.fixture->run(work);
  ASSERT_FALSE(all.error);
  EXPECT_EQ(all.usage.completion_tokens, 80U);
  EXPECT_LT(engine.stepper->rows(), 42U + 80U);
  EXPECT_NE(all.texts[0], all.texts[1]);
  EXPECT_EQ(engine.fixture->run(work).texts, all.texts);
  work.n = 1;
  EXPECT_EQ(engine.fixture->run(work).texts[0], all.texts[0]);  // choices are numbered under the same seed
}

TEST(Engine, StopsWhereItIsTold) {
  FakeEngine engine;
  const std::string text = engine.fixture->run(ask("Hello", 40)).texts[0];
  auto work = ask("Hello", 40);
  work.stop.stop = {text.substr(10, 3)};
  const Outcome stopped = engine.fixture->run(work);
  EXPECT_EQ(stopped.texts[0], text.substr(0, text.find(text.substr(10, 3))));
  EXPECT_EQ(stopped.reasons[0], FinishReason::kStop);
  EXPECT_EQ(stopped.stops[0], text.substr(10, 3));
  const Outcome whole = engine.fixture->run(ask("Hello", 40));
  EXPECT_EQ(whole.reasons[0], FinishReason::kLength);
  EXPECT_EQ(whole.stops[0], "");
  EXPECT_EQ(whole.usage.completion_tokens, 40U);
}

TEST(Engine, RefusesWhatCannotFitBeforeAnyWork) {
  FakeEngine engine({.context = 100});
  const Outcome outcome = engine.fixture->run(ask(std::string(90, 'x'), 20));
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->reason, "context_length_exceeded");
  for (const char* number : {"100", "90", "20"}) {
    EXPECT_NE(outcome.error->message.find(number), std::string::npos) << outcome.error->message;
  }
  const Outcome empty = engine.fixture->run(ask("", 5));
  ASSERT_TRUE(empty.error);
  EXPECT_EQ(empty.error->param, "prompt");
  EXPECT_EQ(engine.stepper->steps(), 0U);
}

TEST(Engine, RefusesMoreMessagesThanTheContextHasTokens) {
  std::atomic<int> tokenized{0};
  FakeEngine fake({.context = 100, .cells = 320, .on_tokenize = [&] { ++tokenized; }});
  ChatPrompt chat;
  chat.messages.assign(101, {.role = "user", .content = ""});
  GenerateRequest work = ask("", 1);
  work.prompts = {chat};
  EXPECT_EQ(fake.fixture->run(work).error->param, "messages");
  EXPECT_EQ(tokenized, 0) << "before it is rendered";
}

TEST(Engine, RefusesMoreBytesThanItsTokensCouldSay) {
  std::atomic<int> tokenized{0};
  FakeEngine fake({.context = 100, .longest_token = 4, .on_tokenize = [&] { ++tokenized; }});
  EXPECT_EQ(fake.fixture->run(ask(std::string(401, 'x'), 1)).error->reason, "context_length_exceeded");
  EXPECT_EQ(tokenized, 0) << "it need not be taken apart";
  EXPECT_EQ(fake.fixture->run(ask(std::string(400, 'x'), 1)).error->reason, "context_length_exceeded");
  EXPECT_EQ(tokenized, 1);
}

TEST(Engine, WhatWillBeCutToFitHasABoundToo) {
  FakeEngine fake;
  GenerateRequest work = ask(std::string(1 << 20, 'x'), 1);
  work.truncation = Truncation{};
  EXPECT_FALSE(fake.fixture->run(work).error);
  std::get<TextPrompt>(work.prompts.front()).text += 'x';
  const Outcome refused = fake.fixture->run(work);
  ASSERT_TRUE(refused.error);
  EXPECT_EQ(refused.error->param, "prompt");
}

TEST(Engine, TellsThoseBeyondTheQueueToComeAgain) {
  FakeEngine engine({.max_sequences = 2}, {.max_waiting = 3});
  engine.fixture->run([](FakeEngine& e) -> Task<void> {
    co_await e.fixture->loaded();
    e.stepper->hold();
    std::vector<std::unique_ptr<EventStream>> open;
    for (int i = 0; i < 5; ++i) open.push_back((co_await e.fixture->open(ask("x", 3))).value());
    const auto refused = co_await e.fixture->open(ask("x", 3));
    EXPECT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
    EXPECT_EQ(refused.error().reason, "queue_full");
    EXPECT_TRUE(refused.error().retry_after.has_value());
    e.stepper->release();
    for (auto& stream : open) EXPECT_FALSE((co_await EngineFixture::read(std::move(stream), 1)).error);
    EXPECT_TRUE((co_await e.fixture->open(ask("x", 3))).has_value());
  }(engine));
}

TEST(Engine, TakesAGroupsShareWhileOthersHaveFilledIt) {
  const auto shares = std::make_shared<LiveGroupShares>();
  shares->set({{.name = "chat", .share = 0.5}});
  FakeEngine engine({.max_sequences = 2}, {.max_waiting = 2}, make_token_sampler, shares);
  engine.fixture->run([](FakeEngine& e) -> Task<void> {
    co_await e.fixture->loaded();
    e.stepper->hold();
    std::vector<std::unique_ptr<EventStream>> open;
    for (int i = 0; i < 4; ++i) open.push_back((co_await e.fixture->open(ask("x", 3))).value());
    EXPECT_FALSE(co_await e.fixture->open(ask("x", 3)));
    const CallContext chat{.caller = std::make_shared<const Caller>(Caller{.group = "chat"})};
    for (int i = 0; i < 2; ++i) open.push_back((co_await e.fixture->open(ask("x", 3), chat)).value());
    EXPECT_EQ((co_await e.fixture->open(ask("x", 3), chat)).error().reason, "queue_full");
    e.stepper->release();
    for (auto& stream : open) EXPECT_FALSE((co_await EngineFixture::read(std::move(stream), 1)).error);
    EXPECT_TRUE((co_await e.fixture->open(ask("x", 3))).has_value());
  }(engine));
}

TEST(Engine, CancelFreesEverything) {
  FakeEngine engine({}, {.prefix_cache = false});
  engine.fixture->run([](FakeEngine& e) -> Task<void> {
    co_await e.fixture->loaded();
    Random random(1);
    for (int round = 0; round < 50; ++round) {
      auto work = ask(std::string(1 + random.below(300), 'x'), 100);
      work.n = 1 + static_cast<std::uint32_t>(random.below(3));
      auto stream = (co_await e.fixture->open(work)).value();
      for (std::uint64_t reads = random.below(3); reads > 0; --reads) co_await stream->next();
    }
    co_await EngineFixture::eventually([&e] { return e.fixture->idle() && e.stepper->cells() == 0; });
  }(engine));
}

TEST(Engine, CancelAbortsAStepThatIsItsOwn) {
  FakeEngine engine;
  engine.fixture->run([](FakeEngine& e) -> Task<void> {
    co_await e.fixture->loaded();
    e.stepper->hold();
    auto stream = (co_await e.fixture->open(ask(std::string(200, 'x'), 5))).value();
    e.stepper->wait_until_held();
    stream.reset();
    // The step is never released: only an abort ends it.
    co_await EngineFixture::eventually([&e] { return e.stepper->steps() == 1 && e.stepper->cells() == 0; });
    e.stepper->release();
    EXPECT_EQ(e.stepper->rows(), 0U);
    EXPECT_FALSE((co_await e.fixture->generate(ask("next", 5))).error);
  }(engine));
}

TEST(Engine, WhomItsThreadHasNotSeenYetIsPartOfItsLoad) {
  FakeEngine engine;
  engine.stepper->hold();
  engine.fixture->run([](FakeEngine& e) -> Task<void> {
    co_await e.fixture->loaded();
    const auto first = co_await e.fixture->open(ask("a", 50));
    e.stepper->wait_until_held();
    const auto second = co_await e.fixture->open(ask("b", 50));
    const LoadReport load = e.fixture->engine().load();
    EXPECT_EQ(load.running + load.waiting, 2U);
    e.stepper->release();
  }(engine));
  engine.fixture->run(EngineFixture::eventually([&engine] { return engine.fixture->idle(); }));
}

TEST(Engine, WhatItHasReadIsToldBeforeItRests) {
  FakeEngine fake({.context = 1024});
  for (const char letter : {'a', 'b'}) {  // the first is told at once in any case
    const GenerateRequest work = ask(std::string(600, letter), 3);
    EXPECT_FALSE(fake.fixture->run(work).error);
    const std::uint64_t landmark = prefix_landmarks(prefix_digests(work)).front();
    fake.fixture->run(EngineFixture::eventually([&] {
      const auto told = fake.fixture->engine().prefixes();
      return told && told->contains(landmark);
    }));
  }
}

TEST(Engine, ASlowReaderPausesItselfAlone) {
  FakeEngine engine({.context = 4096, .cells = 8192});
  engine.fixture->run([](FakeEngine& e) -> Task<void> {
    co_await e.fixture->loaded();
    auto slow = (co_await e.fixture->open(ask("slow", 3000))).value();
    for (int i = 0; i < 10; ++i) EXPECT_FALSE((co_await e.fixture->generate(ask("fast", 100))).error);
    // The other requests have generated a thousand tokens; the unread stream has stopped at its bound.
    const auto seen = co_await slow->next();
    EXPECT_LE(seen->events.size(), Delivery::kPauseAt + 2);
    const auto from = static_cast<std::uint32_t>(seen->events.size());
    const Outcome rest = co_await EngineFixture::read(std::move(slow), 1, from);
    EXPECT_EQ(rest.usage.completion_tokens, 3000U);
  }(engine));
}

TEST(Engine, AFailingBackendEndsRequestsWithOneErrorAndGoesOn) {
  FakeEngine engine;
  engine.fixture->run([](FakeEngine& e) -> Task<void> {
    co_await e.fixture->loaded();
    e.stepper->fail_steps(2, DecodeStatus::kFailed);  // two failures are retried
    EXPECT_FALSE((co_await e.fixture->generate(ask("Hello", 5))).error);
    e.stepper->fail_steps(3, DecodeStatus::kFailed);
    const Outcome failed = co_await e.fixture->generate(ask("Hello", 5));
    EXPECT_TRUE(failed.error);
    EXPECT_EQ(failed.error->reason, "engine_failed");
    const Outcome after = co_await e.fixture->generate(ask("Hello", 5));
    EXPECT_FALSE(after.error);
  }(engine));
}

TEST(Engine, AFormatWithoutAWayOnEndsItsRequestAlone) {
  const auto engine = make_tiny(2048);
  std::vector<GenerateRequest> all = {ask("free", 40), ask("dead", 40, 7), ask("free", 40)};
  all[1].n = 3;  // in one step: the first choice to fail ends its siblings
  // Two letters, then a token that the vocabulary does not have.
  all[1].format = {OutputFormat::Kind::kGrammar, "root ::= [a-z] [a-z] <[999999]>"};
  const auto outcomes = engine->run_together(all);
  ASSERT_TRUE(outcomes[1].error);
  EXPECT_EQ(outcomes[1].error->code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(outcomes[1].error->param, "grammar");
  const Outcome alone = engine->run(ask("free", 40));
  for (const std::size_t free : {0UL, 2UL}) {
    EXPECT_FALSE(outcomes[free].error);
    EXPECT_EQ(outcomes[free].texts, alone.texts);
  }
  engine->run(EngineFixture::eventually([&engine] { return engine->idle(); }));
}

TEST(Engine, AnAnswerThatIsCompleteEndsBeforeMinTokens) {
  const auto engine = make_tiny(2048);
  for (const auto seed : {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(3)}) {
    GenerateRequest work = ask("Say", 40, seed);
    work.stop.min_tokens = 30;
    work.format = {OutputFormat::Kind::kGrammar, R"(root ::= "ab")"};
    const Outcome outcome = engine->run(work);
    ASSERT_FALSE(outcome.error);
    EXPECT_EQ(outcome.texts.at(0), "ab");
    EXPECT_EQ(outcome.reasons.at(0), FinishReason::kStop);
  }
}

TEST(Engine, EndsStreamsWhenItIsDestroyed) {
  FakeEngine engine({.context = 4096, .cells = 8192});
  engine.fixture->run([](FakeEngine& e) -> Task<void> {
    co_await e.fixture->loaded();
    // More than a stream buffers without a reader, so the generation cannot have ended by itself.
    auto stream = (co_await e.fixture->open(ask("Hello", 3000))).value();
    const auto begun = co_await stream->next();
    e.fixture->end_engine();
    const auto from = static_cast<std::uint32_t>(begun->events.size());
    const Outcome rest = co_await EngineFixture::read(std::move(stream), 1, from);
    EXPECT_TRUE(rest.error);
    EXPECT_EQ(rest.error->code, ErrorCode::kUnavailable);
  }(engine));
}

/// Blocks every call that tokenizes.
struct HeldTokenizing {
  std::latch begun{1};
  std::latch go_on{1};
  std::atomic<bool> vocabulary_ended{false};

  FakeOptions options() {
    return {.on_tokenize =
                [this, first = std::make_shared<std::atomic<bool>>(true)] {
                  if (!first->exchange(false)) return;
                  begun.count_down();
                  go_on.wait();
                },
            .on_end = [this] { vocabulary_ended = true; }};
  }
};

TEST(Engine, JobsOnThePoolOutliveIt) {
  for (const bool generates : {false, true}) {
    HeldTokenizing held;
    FakeEngine engine(held.options());
    engine.fixture->run([](FakeEngine& e, HeldTokenizing& on, bool generating) -> Task<void> {
      co_await e.fixture->loaded();
      {
        Scope scope;
        scope.spawn([](FakeEngine& of, bool all) -> Task<void> {
          if (all) {
            co_await of.fixture->open(ask(std::string(1000, 'a'), 3));
          } else {
            co_await call(of.fixture->engine(), TokenizeRequest{.prompt = TextPrompt{std::string(1000, 'a')}},
                          {});
          }
        }(e, generating));
        on.begun.wait();
      }
      e.fixture->end_engine();
      EXPECT_FALSE(on.vocabulary_ended) << "a job still reads it";
      on.go_on.count_down();
      e.fixture->end_pool();
      co_return;
    }(engine, held, generates));
    engine.fixture.reset();  // with its loop and everything posted to it
    EXPECT_TRUE(held.vocabulary_ended);
  }
}

TEST(Engine, SaysThatItIsLoadingAndWhyItFailed) {
  std::atomic<bool> go{false};
  EngineFixture fixture({}, [&go](const LoadProgress& progress) -> Result<Backend> {
    progress(0.25);
    while (!go.load()) std::this_thread::yield();
    return fail(ErrorCode::kDataLoss, "the file is cut off");
  });
  fixture.run([](EngineFixture& f, std::atomic<bool>& open) -> Task<void> {
    co_await EngineFixture::eventually([&f] { return f.engine().status().progress == 0.25; });
    const auto loading = co_await f.open(ask("x", 1));
    EXPECT_EQ(loading.error().reason, "model_loading");
    EXPECT_NE(loading.error().message.find("25 %"), std::string::npos) << loading.error().message;
    open.store(true);
    co_await f.loaded();
    const auto failed = co_await f.open(ask("x", 1));
    EXPECT_EQ(failed.error().reason, "model_failed");
    EXPECT_EQ(failed.error().message.find("the file is cut off"), std::string::npos)
        << "clients have no business with files";
    EXPECT_NE(failed.error().log_message().find("the file is cut off"), std::string::npos);
    EXPECT_EQ(f.engine().status().detail, "the file is cut off");
  }(fixture, go));
}

}  // namespace
}  // namespace autoglm::engine
