// The conformance suite of Endpoint: what a pool, a pipeline and a front rely on.
#include "inference/testing/endpoint_conformance.h"

#include "runtime/scope.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <array>
#include <atomic>
#include <thread>
#include <utility>

namespace autoglm {

EndpointImplementation::EndpointImplementation(const char* called, Make maker) : name(called), make(maker) {}
EndpointConformance::~EndpointConformance() = default;

namespace {

// A program may link the suite and have nothing to run it over.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EndpointConformance);

TEST_P(EndpointConformance, ACallThatIsGivenUpAnywhereLeavesNothing) {
  run_task(loop_, [](EndpointSubject& subject) -> Task<void> {
    const Heard whole = co_await open_and_hear(subject);
    EXPECT_TRUE(whole.ended) << whole;
    bool given_up = true;
    for (TurnCounts count; given_up && !count.over(); count.advance()) {
      auto stream = co_await for_turns(count.now(), subject.open());
      given_up = !stream.has_value();
      stream.reset();
      EXPECT_TRUE(co_await comes_to_rest(subject)) << "behind " << count.now() << " turns";
    }
    const Heard after = co_await open_and_hear(subject);
    EXPECT_TRUE(after.same_as(whole)) << after << "\n" << whole;
  }(*subject_));
}

TEST_P(EndpointConformance, ACallThatNeverBeganLeavesNothing) {
  run_task(loop_, [](EndpointSubject& subject) -> Task<void> {
    const CallContext context;
    {
      const auto never_awaited = subject.endpoint().generate(subject.request(), context);
    }
    EXPECT_TRUE(subject.idle());
    co_return;
  }(*subject_));
}

TEST_P(EndpointConformance, CallsAtOnceAreAnsweredEachByItself) {
  run_task(loop_, [](EndpointSubject& subject) -> Task<void> {
    const Heard whole = co_await open_and_hear(subject);
    std::array<Heard, 4> all;
    Scope scope;
    for (Heard& one : all) {
      scope.spawn([](EndpointSubject& of, Heard& heard) -> Task<void> { heard = co_await open_and_hear(of); }(
                                                            subject, one));
    }
    co_await scope.join();
    for (const Heard& one : all) EXPECT_TRUE(one.same_as(whole)) << one << "\n" << whole;
    EXPECT_TRUE(co_await comes_to_rest(subject));
  }(*subject_));
}

TEST_P(EndpointConformance, ARefusalSaysWhyAndLeavesNothing) {
  if (!subject_->behave(Manner::kRefuses)) GTEST_SKIP() << "it does not refuse";
  run_task(loop_, [](EndpointSubject& subject) -> Task<void> {
    for (int i = 0; i < 3; ++i) {
      const Heard refused = co_await open_and_hear(subject);
      EXPECT_TRUE(refused.error.has_value()) << refused;
      EXPECT_EQ(refused.batches, 0U) << "something was generated";
      if (refused.error) EXPECT_FALSE(refused.error->message.empty());
      EXPECT_TRUE(co_await comes_to_rest(subject));
    }
    EXPECT_TRUE(subject.behave(Manner::kWell));
    const Heard after = co_await open_and_hear(subject);
    EXPECT_TRUE(after.ended) << "it does not come back: " << after;
  }(*subject_));
}

TEST_P(EndpointConformance, AnswersAgainBehindOneThatBrokeAndOneThatWasSilent) {
  run_task(loop_, [](EndpointSubject& subject) -> Task<void> {
    const Heard whole = co_await open_and_hear(subject);
    for (const Manner manner : {Manner::kBreaks, Manner::kStalls}) {
      if (!subject.behave(manner)) continue;
      (void)co_await for_turns(500, open_and_hear(subject));
      EXPECT_TRUE(co_await comes_to_rest(subject));
      EXPECT_TRUE(subject.behave(Manner::kWell));
      const Heard after = co_await open_and_hear(subject);
      EXPECT_TRUE(after.same_as(whole)) << after << "\n" << whole;
    }
  }(*subject_));
}

TEST_P(EndpointConformance, TellsAboutItselfToOtherThreadsWhileItWorks) {
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> looks{0};
  std::thread other([&] {
    Endpoint& endpoint = subject_->endpoint();
    while (!over) {
      static_cast<void>(endpoint.load());
      static_cast<void>(endpoint.prefixes());
      static_cast<void>(endpoint.card());
      static_cast<void>(endpoint.continuation(*subject_->request()));
      static_cast<void>(endpoint.passes_through());
      if (endpoint.status().state == EndpointStatus::State::kReady) ++looks;
    }
  });
  run_task(loop_, [](EndpointSubject& subject, const std::atomic<std::uint64_t>& seen) -> Task<void> {
    const std::uint64_t before = seen;
    while (seen < before + 3) EXPECT_TRUE((co_await open_and_hear(subject)).ended);
  }(*subject_, looks));
  over = true;
  other.join();
}

TEST_P(EndpointConformance, TokenizesAndDetokenizesWhoeverGivesUp) {
  if (!subject_->tokenizes()) GTEST_SKIP() << "it does not tokenize";
  run_task(loop_, [](EndpointSubject& subject) -> Task<void> {
    const CallContext context;
    Endpoint& endpoint = subject.endpoint();
    const TokenizeRequest request{.prompt = TextPrompt{"some words"}};
    const auto tokens = co_await call(endpoint, request, context);
    EXPECT_TRUE(tokens.has_value());
    if (!tokens) co_return;
    EXPECT_FALSE(tokens->tokens.empty());
    const DetokenizeRequest back{.tokens = tokens->tokens};
    const auto text = co_await call(endpoint, back, context);
    EXPECT_TRUE(text.has_value());
    for (unsigned count = 0; count < 12; ++count) {
      (void)co_await for_turns(count, call(endpoint, request, context));
      (void)co_await for_turns(count, call(endpoint, back, context));
      const auto again = co_await call(endpoint, request, context);
      EXPECT_TRUE(again && again->tokens == tokens->tokens);
      const auto said = co_await call(endpoint, back, context);
      EXPECT_TRUE(said && said->text == text->text);
    }
  }(*subject_));
}

}  // namespace
}  // namespace autoglm
