#include "echo_backend.h"

#include "engine/testing/engine_fixture.h"
#include "engine/testing/stepper_conformance.h"
#include "engine/testing/vocabulary_conformance.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::engine {
namespace {

StepperFacts limits() {
  using B = BackendImplementation;
  return {.context_length = 256,
          .cache_cells = B::kCells,
          .max_sequences = B::kSequences,
          .sequence_ids = 4 * B::kSequences,
          .shares_prefixes = true,
          .max_batch = B::kBatch};
}

const auto kEcho =
    ::testing::Values(BackendImplementation{"Echo", [] { return extending::make_echo_backend(limits()); }});
const auto kName = [](const auto& info) { return std::string(info.param.name); };

INSTANTIATE_TEST_SUITE_P(Echo, VocabularyConformance, kEcho, kName);
INSTANTIATE_TEST_SUITE_P(Echo, StepperConformance, kEcho, kName);

class EchoEngine : public ::testing::Test {
 protected:
  EngineFixture engine_{EngineConfig{.max_sequences = BackendImplementation::kSequences},
                        loader_of(extending::make_echo_backend(limits()))};
};

TEST_F(EchoEngine, Answers) {
  const Outcome outcome = engine_.run(ask("hello ", 15));
  EXPECT_EQ(outcome.texts, std::vector<std::string>{"hello hello hel"});
  EXPECT_EQ(outcome.usage.prompt_tokens, 6U);
}

TEST_F(EchoEngine, AnswersManyAtOnceFromOneBeginning) {
  std::vector<GenerateRequest> work;
  for (const char* last : {"one...", "two...", "three."}) {
    work.push_back(ask("The same sixteen bytes for all of them, and then " + std::string(last), 12));
    work.back().n = 2;
  }
  const std::vector<Outcome> outcomes = engine_.run_together(work);
  EXPECT_EQ(outcomes[0].texts, (std::vector<std::string>(2, "one...one...")));
  EXPECT_EQ(outcomes[1].texts, (std::vector<std::string>(2, "two...two...")));
  EXPECT_EQ(outcomes[2].texts, (std::vector<std::string>(2, "three.three.")));
}

TEST_F(EchoEngine, RefusesChats) {
  ChatPrompt chat;
  chat.messages.push_back({.role = "user", .content = "hello"});
  GenerateRequest work = ask("", 3);
  work.prompts = {chat};
  const Outcome outcome = engine_.run(work);
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->param, "messages");
}

}  // namespace
}  // namespace autoglm::engine
