#pragma once

#include "engine/backends/stepper.h"
#include "engine/backends/vocabulary.h"
#include "engine/engine_groups.h"
#include "engine/engine_inbox.h"
#include "engine/engine_load.h"
#include "engine/engine_metrics.h"
#include "engine/scheduler/scheduler.h"
#include "engine/token_sampler.h"

#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

namespace autoglm::engine {

/// The engine's thread: takes messages, plans a step, lets the stepper compute it, chooses tokens, sends them
/// off. Created, run and destroyed on that thread. `shares`: null: no group owns a part.
class EngineWorker {
 public:
  EngineWorker(Stepper& stepper, const Vocabulary& vocabulary, SamplerFactory samplers,
               const SchedulerLimits& limits, EngineInbox& inbox, EngineLoad& load, EngineMetrics& metrics,
               const LiveGroupShares* shares);
  ~EngineWorker();

  /// Runs until the mailbox is closed; requests still running then end with an error.
  void run();

 private:
  struct Generation;
  struct Choice;

  void take_messages(bool may_wait);
  void start(Submission submission);
  std::unique_ptr<Choice> make_choice(Generation& generation, std::uint32_t number);
  bool equip(Choice& choice);
  void enqueue(Choice& choice);
  void cancel(GenerationId id);
  void step();
  void apply(const Scheduler::Step& step);
  DecodeStatus compute(const Scheduler::Step& step);
  void choose_tokens(const Scheduler::Step& step, MonotonicTime now);
  static bool is_reported(const Choice& choice, std::uint32_t index);
  void report_prompt(Choice& choice, const Scheduler::Slice& slice, std::size_t first_row);
  void begin_choices(Choice& first, std::span<const float> logits, MonotonicTime now);
  void add_token(Choice& choice, std::span<float> logits, MonotonicTime now, TokenEvent event);
  void pause_for(Delivery& reader, SequenceKey key);
  void finish_choice(Choice& choice, MonotonicTime now);
  void drop_choice(SequenceKey key);
  void forget(GenerationId id);
  void give_up_on(DecodeStatus status);
  void fail(Generation& generation, const Error& error);
  void fail_all(const Error& error);
  void publish_load();

  Stepper& stepper_;
  const Vocabulary& vocabulary_;
  SamplerFactory make_sampler_;
  EngineInbox& inbox_;
  EngineLoad& load_;
  EngineMetrics& metrics_;
  Scheduler scheduler_;
  EngineGroups groups_;
  Outbox outbox_;

  std::map<GenerationId, std::unique_ptr<Generation>> generations_;
  std::unordered_map<SequenceKey, Choice*> choices_;
  std::uint64_t last_sequence_ = 0;
  unsigned failures_in_a_row_ = 0;

  // Kept between steps.
  std::vector<EngineMessage> messages_;
  std::vector<BatchRow> rows_;
  std::vector<float> scratch_;
};

}  // namespace autoglm::engine
