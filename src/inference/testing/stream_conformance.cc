// The conformance suite of EventStream: what pipelines, pools and fronts rely on.
#include "inference/testing/stream_conformance.h"

#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <algorithm>
#include <ostream>
#include <utility>

namespace autoglm {

void Heard::note(const EventBatch& batch) {
  ++batches;
  EXPECT_FALSE(ended) << "a batch behind the last one";
  EXPECT_TRUE(batch.last() || !batch.events.empty() || !batch.raw.empty()) << "a batch of nothing";
  raw += batch.raw;
  for (const TokenEvent& event : batch.events) {
    Choice& choice = choices[event.choice];
    EXPECT_EQ(choice.ends, 0U) << "choice " << event.choice << " goes on behind its end";
    if (batch.raw.empty() && !event.tokens.empty())
      EXPECT_EQ(event.index, choice.tokens.size()) << "a gap or a duplicate in choice " << event.choice;
    choice.text += event.text;
    choice.reasoning += event.reasoning;
    choice.tokens.insert(choice.tokens.end(), event.tokens.begin(), event.tokens.end());
    if (event.finish) ++choice.ends;
  }
  if (!batch.usage) return;
  ended = true;
  prompt_tokens = batch.usage->prompt_tokens;
  completion_tokens = batch.usage->completion_tokens;
}

bool Heard::same_as(const Heard& other) const {
  return raw == other.raw && choices == other.choices && prompt_tokens == other.prompt_tokens &&
         completion_tokens == other.completion_tokens && ended == other.ended &&
         error.has_value() == other.error.has_value();
}

std::ostream& operator<<(std::ostream& out, const Heard& heard) {
  out << heard.batches << " batches, raw \"" << heard.raw << '"';
  for (const auto& [index, choice] : heard.choices)
    out << ", " << index << ": \"" << choice.text << "\" of " << choice.tokens.size() << " tokens";
  out << ", usage " << heard.prompt_tokens << " + " << heard.completion_tokens;
  if (heard.error) out << ", error: " << heard.error->log_message();
  return out << (heard.ended ? ", ended" : "");
}

Task<Heard> hear(EventStream& stream) {
  Heard heard;
  while (!heard.ended && !heard.error) {
    auto batch = co_await stream.next();
    if (batch) {
      heard.note(*batch);
    } else {
      heard.error = std::move(batch).error();
    }
  }
  co_return heard;
}

Task<Heard> open_and_hear(StreamSubject& subject) {
  auto stream = co_await subject.open();
  if (!stream) co_return Heard{.error = std::move(stream).error()};
  co_return co_await hear(**stream);
}

namespace {

Task<bool> comes_to(StreamSubject& subject, bool idle) {
  const Deadline until = Deadline::after(std::chrono::seconds(20));
  while (subject.idle() != idle) {
    if (until.passed()) co_return false;
    co_await sleep_for(std::chrono::microseconds(200));
  }
  co_return true;
}

}  // namespace

Task<bool> comes_to_rest(StreamSubject& subject) { return comes_to(subject, true); }

StreamImplementation::StreamImplementation(const char* called, Make maker) : name(called), make(maker) {}
EventStreamConformance::~EventStreamConformance() = default;

namespace {

/// Hears a stream, giving each wait up after `count` turns, twice, and beginning it again; returns how many
/// were given up.
Task<unsigned> hear_impatiently(EventStream& stream, unsigned count, Heard& heard) {
  unsigned given_up = 0;
  while (!heard.ended && !heard.error) {
    std::optional<Result<EventBatch>> batch;
    for (int wait = 0; wait < 2 && !batch; ++wait) {
      batch = co_await for_turns(count, stream.next());
      if (!batch) ++given_up;
    }
    if (!batch) batch = co_await stream.next();
    if (*batch) {
      heard.note(**batch);
    } else {
      heard.error = batch->error();
    }
  }
  co_return given_up;
}

Task<void> expect_over(EventStream& stream) {
  for (int i = 0; i < 3; ++i) {
    const auto again = co_await stream.next();
    EXPECT_FALSE(again.has_value()) << "it said more behind its end";
  }
}

// A program may link the suite and have nothing to run it over.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EventStreamConformance);

TEST_P(EventStreamConformance, SaysTheSameWholeAnswerEachTime) {
  run_task(loop_, [](StreamSubject& subject) -> Task<void> {
    const Heard first = co_await open_and_hear(subject);
    EXPECT_TRUE(first.ended) << first;
    EXPECT_TRUE(!first.raw.empty() || !first.choices.empty()) << first;
    for (const auto& [index, choice] : first.choices) {
      if (first.raw.empty()) EXPECT_EQ(choice.ends, 1U) << index;
    }
    const Heard second = co_await open_and_hear(subject);
    EXPECT_TRUE(second.same_as(first)) << second << "\n" << first;
    EXPECT_TRUE(co_await comes_to_rest(subject)) << "an answer that was heard to its end is still held";
  }(*subject_));
}

TEST_P(EventStreamConformance, WaitsThatAreGivenUpLoseNothing) {
  run_task(loop_, [](StreamSubject& subject) -> Task<void> {
    const Heard whole = co_await open_and_hear(subject);
    unsigned given_up = 1;
    for (TurnCounts count; given_up > 0 && !count.over(); count.advance()) {
      auto stream = co_await subject.open();
      EXPECT_TRUE(stream.has_value());
      if (!stream) co_return;
      Heard heard;
      given_up = co_await hear_impatiently(**stream, count.now(), heard);
      EXPECT_TRUE(heard.same_as(whole)) << "behind " << count.now() << " turns: " << heard << "\n" << whole;
    }
  }(*subject_));
}

TEST_P(EventStreamConformance, WaitsThatAreGivenUpLoseNothingBeforeAnError) {
  if (!subject_->behave(Manner::kBreaks)) GTEST_SKIP() << "it does not break";
  run_task(loop_, [](StreamSubject& subject) -> Task<void> {
    unsigned given_up = 1;
    for (TurnCounts count; given_up > 0 && !count.over(); count.advance()) {
      auto stream = co_await subject.open();
      if (!stream) co_return;  // `open` waits for the error itself
      Heard heard;
      given_up = co_await hear_impatiently(**stream, count.now(), heard);
      EXPECT_TRUE(heard.error.has_value()) << "behind " << count.now() << " turns: " << heard;
      EXPECT_FALSE(heard.ended) << heard;
    }
  }(*subject_));
}

TEST_P(EventStreamConformance, IsOverBehindItsLastBatch) {
  run_task(loop_, [](StreamSubject& subject) -> Task<void> {
    auto stream = co_await subject.open();
    EXPECT_TRUE(stream.has_value());
    if (!stream) co_return;
    EXPECT_TRUE((co_await hear(**stream)).ended);
    co_await expect_over(**stream);
  }(*subject_));
}

TEST_P(EventStreamConformance, IsOverBehindAnError) {
  if (!subject_->behave(Manner::kBreaks)) GTEST_SKIP() << "it does not break";
  run_task(loop_, [](StreamSubject& subject) -> Task<void> {
    auto stream = co_await subject.open();
    if (stream) {
      const Heard heard = co_await hear(**stream);
      EXPECT_TRUE(heard.error.has_value()) << heard;
      if (heard.error) EXPECT_FALSE(heard.error->message.empty()) << "nobody could tell the client why";
      co_await expect_over(**stream);
      stream->reset();
    }
    EXPECT_TRUE(co_await comes_to_rest(subject)) << "a stream that broke is still held";
  }(*subject_));
}

TEST_P(EventStreamConformance, DestroyedWhereverItStandsItFreesWhatItHeld) {
  run_task(loop_, [](StreamSubject& subject) -> Task<void> {
    const Heard whole = co_await open_and_hear(subject);
    for (std::uint32_t heard = 0; heard <= std::min(whole.batches, 3U); ++heard) {
      for (unsigned count = 0; count < 12; ++count) {
        auto stream = co_await subject.open();
        EXPECT_TRUE(stream.has_value());
        if (!stream) co_return;
        bool over = false;
        for (std::uint32_t i = 0; i < heard && !over; ++i) {
          const auto batch = co_await (*stream)->next();
          over = !batch || batch->last();
        }
        if (!over && count > 0) (void)co_await for_turns(count - 1, (*stream)->next());
        stream->reset();
        EXPECT_TRUE(co_await comes_to_rest(subject)) << heard << " batches, " << count << " turns";
      }
    }
    const Heard after = co_await open_and_hear(subject);
    EXPECT_TRUE(after.same_as(whole)) << after << "\n" << whole;
  }(*subject_));
}

TEST_P(EventStreamConformance, ASilentOneIsFreedWhenNobodyWaitsForIt) {
  if (!subject_->behave(Manner::kStalls)) GTEST_SKIP() << "it does not stall";
  run_task(loop_, [](StreamSubject& subject) -> Task<void> {
    // `open` may wait for the first events itself.
    auto stream = co_await for_turns(500, subject.open());
    if (stream && *stream) {
      unsigned batches = 0;
      while (batches < 9 && co_await for_turns(500, (**stream)->next())) ++batches;
      EXPECT_LT(batches, 9U) << "it does not stall";
      EXPECT_TRUE(co_await comes_to(subject, false)) << "nobody works";
    }
    stream.reset();
    EXPECT_TRUE(co_await comes_to_rest(subject));
  }(*subject_));
}

TEST_P(EventStreamConformance, WhoeverLeavesTakesNothingFromOthers) {
  run_task(loop_, [](StreamSubject& subject) -> Task<void> {
    const Heard whole = co_await open_and_hear(subject);
    for (unsigned count = 0; count < 8; ++count) {
      auto leaves = co_await subject.open();
      auto stays = co_await subject.open();
      EXPECT_TRUE(leaves.has_value() && stays.has_value());
      if (!leaves || !stays) co_return;
      (void)co_await for_turns(count, (*leaves)->next());
      leaves->reset();
      const Heard heard = co_await hear(**stays);
      EXPECT_TRUE(heard.same_as(whole)) << heard << "\n" << whole;
    }
  }(*subject_));
}

}  // namespace
}  // namespace autoglm
