#include "engine/engine_worker.h"

#include "base/assert.h"
#include "base/random.h"
#include "engine/generation.h"
#include "engine/logprobs.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace autoglm::engine {

EngineWorker::EngineWorker(Stepper& stepper, const Vocabulary& vocabulary, SamplerFactory samplers,
                           const SchedulerLimits& limits, EngineInbox& inbox, EngineLoad& load,
                           EngineMetrics& metrics, const LiveGroupShares* shares)
    : stepper_(stepper),
      vocabulary_(vocabulary),
      make_sampler_(std::move(samplers)),
      inbox_(inbox),
      load_(load),
      metrics_(metrics),
      scheduler_(limits),
      groups_(shares, metrics) {}

EngineWorker::~EngineWorker() = default;

void EngineWorker::run() {
  bool idle = true;
  while (!inbox_.mailbox.closed()) {
    take_messages(idle);
    const Scheduler::Step planned = scheduler_.plan(std::chrono::steady_clock::now());
    apply(planned);
    idle = planned.slices.empty();
    if (!idle) {
      const MonotonicTime before = std::chrono::steady_clock::now();
      const Duration cpu_before = process_cpu_time();
      const DecodeStatus status = compute(planned);
      const MonotonicTime now = std::chrono::steady_clock::now();
      if (status == DecodeStatus::kOk) {
        failures_in_a_row_ = 0;
        scheduler_.complete(planned, {.wall = now - before, .cpu = process_cpu_time() - cpu_before}, now);
        metrics_.step_time.observe(to_seconds(now - before));
        groups_.count(planned);
        choose_tokens(planned, now);
      } else {
        scheduler_.revert(planned);
        if (status != DecodeStatus::kAborted) give_up_on(status);
      }
    }
    publish_load();
    load_.prefixes.publish(idle, std::chrono::steady_clock::now());
    outbox_.flush();
  }
  fail_all(Error{
      .code = ErrorCode::kUnavailable, .retry = Retry::kElsewhere, .message = "the server is shutting down"});
  outbox_.flush();
}

void EngineWorker::take_messages(bool may_wait) {
  messages_.clear();
  if (may_wait) {
    inbox_.mailbox.wait_and_take_all(messages_);
  } else {
    inbox_.mailbox.take_all(messages_);
  }
  groups_.follow(scheduler_);  // before requests of new groups begin
  for (EngineMessage& message : messages_) {
    if (auto* submission = std::get_if<Submission>(&message)) {
      start(std::move(*submission));
    } else if (const auto* cancellation = std::get_if<Cancellation>(&message)) {
      inbox_.note_cancellation();
      cancel(cancellation->id);
    } else if (const auto found = generations_.find(std::get<WakeUp>(message).id);
               found != generations_.end()) {
      for (const auto& choice : found->second->choices) scheduler_.set_paused(choice->key, false);
    }
  }
}

void EngineWorker::start(Submission submission) {
  auto owned = std::make_unique<Generation>();
  Generation& generation = *owned;
  generation.submission = std::move(submission);
  Submission& from = generation.submission;
  generations_.emplace(from.id, std::move(owned));
  generation.work = from.work.get();
  const GenerateRequest& work = *generation.work;
  generation.seed = work.sampling.seed ? *work.sampling.seed : thread_random()();
  generation.unfinished = work.choices();
  for (const auto& prompt : from.prompts)
    generation.usage.prompt_tokens += static_cast<std::uint32_t>(prompt.tokens.size());
  metrics_.prompt_tokens.add(generation.usage.prompt_tokens);
  for (std::uint32_t i = 0; i < work.choices(); ++i) generation.choices.push_back(make_choice(generation, i));

  const auto now = std::chrono::steady_clock::now();
  const GenerationId id = from.id;
  const std::uint32_t choices = work.choices();
  const bool resumed = !work.resume.empty();
  for (std::uint32_t i = 0; i < choices; ++i) {
    if (!generations_.contains(id)) return;  // Its last choice had ended before: the generation is gone.
    Choice& choice = *generation.choices[i];
    if (from.choices[i].finished) {
      outbox_.add(from.delivery, {.choice = i,
                                  .index = choice.text.tokens(),
                                  .finish = from.choices[i].finished,
                                  .stop = choice.text.stop()});
      finish_choice(choice, now);
    } else if (resumed || i % work.n == 0) {
      choice.siblings = resumed ? 1 : work.n;
      enqueue(choice);
    }
  }
}

void EngineWorker::enqueue(Choice& choice) {
  const Submission& submission = choice.generation->submission;
  const bool reports_prompt = choice.generation->work->prompt_logprobs.has_value();
  const std::vector<TokenId>& prompt = submission.prompts[choice.number / choice.generation->work->n].tokens;
  choice.tokens.insert(choice.tokens.begin(), prompt.begin(), prompt.end());
  choices_[choice.key] = &choice;
  scheduler_.add({.key = choice.key,
                  .tokens = &choice.tokens,
                  .slots = choice.siblings,
                  .priority = submission.priority,
                  .tenant = submission.tenant,
                  .group = scheduler_.shares().find(submission.group),
                  // To report logprobs the prompt must be computed: no shared prefix will do, nor one of
                  // another prompt of the same request.
                  .salt = reports_prompt ? ~choice.key.value : submission.salt,
                  .max_rows = reports_prompt ? stepper_.facts().max_sequences : kUnlimitedRows,
                  .arrived = submission.arrived,
                  .deadline = submission.deadline});
}

void EngineWorker::cancel(GenerationId id) {
  const auto found = generations_.find(id);
  if (found == generations_.end()) return;
  for (const auto& choice : found->second->choices) drop_choice(choice->key);
  metrics_.aborted.add();
  forget(id);
}

void EngineWorker::apply(const Scheduler::Step& step) {
  for (const KvOperation& operation : step.operations) stepper_.apply(operation);
  metrics_.preemptions.add(step.preempted.size());
  for (const Scheduler::Admission& admission : step.admitted) {
    Choice& choice = *choices_.at(admission.sequence);
    if (std::exchange(choice.admitted, true)) {  // it returns from a preemption
      metrics_.restored_tokens.add(admission.restored + admission.reloaded);
      continue;
    }
    metrics_.reloaded_tokens.add(admission.reloaded);
    Generation& generation = *choice.generation;
    const std::uint32_t cached = std::min(admission.cached, choice.prompt_tokens);
    generation.usage.cached_tokens += cached;
    metrics_.prefix_cache_queries.add(choice.prompt_tokens);
    metrics_.prefix_cache_hits.add(cached);
    if (std::exchange(generation.started, true)) continue;
    metrics_.queue_time.observe(to_seconds(std::chrono::steady_clock::now() - generation.submission.arrived));
  }
}

DecodeStatus EngineWorker::compute(const Scheduler::Step& step) {
  rows_.clear();
  const Generation* only = nullptr;
  bool shared = false;
  for (const Scheduler::Slice& slice : step.slices) {
    const Choice& choice = *choices_.at(slice.sequence);
    shared |= only != nullptr && only != choice.generation;
    only = choice.generation;
    for (std::uint32_t i = 0; i < slice.count; ++i) {
      const std::uint32_t index = slice.first + i;
      rows_.push_back(
          {.token = choice.tokens[index],
           .position = static_cast<std::int32_t>(index),
           .sequence = slice.slot,
           .wants_logits = (slice.completes && i + 1 == slice.count) || is_reported(choice, index)});
    }
  }
  inbox_.begin_step(shared ? std::nullopt : std::optional(only->submission.id));
  const DecodeStatus status = stepper_.decode(rows_, step.threads, inbox_.stop);
  inbox_.end_step();
  return status;
}

/// Whether the logits after the prompt's token `index` give the next token's logprob and it was asked for.
bool EngineWorker::is_reported(const Choice& choice, std::uint32_t index) {
  return choice.generation->work->prompt_logprobs && index + 1 < choice.prompt_tokens &&
         index + 1 >= choice.reported;
}

void EngineWorker::choose_tokens(const Scheduler::Step& step, MonotonicTime now) {
  std::size_t row = 0;
  for (const Scheduler::Slice& slice : step.slices) {
    const std::size_t first_row = std::exchange(row, row + slice.count);
    const auto found = choices_.find(slice.sequence);
    if (found == choices_.end()) continue;  // another choice of its request has failed
    Choice& choice = *found->second;
    if (choice.generation->work->prompt_logprobs) report_prompt(choice, slice, first_row);
    if (!slice.completes) continue;
    const std::span<float> logits = stepper_.logits(row - 1);
    if (!std::exchange(choice.begun, true)) {
      begin_choices(choice, logits, now);
    } else {
      add_token(choice, logits, now, {});
    }
  }
}

void EngineWorker::report_prompt(Choice& choice, const Scheduler::Slice& slice, std::size_t first_row) {
  const GenerateRequest& work = *choice.generation->work;
  TokenEvent event{.choice = choice.number, .index = choice.text.tokens()};
  std::size_t& offset = choice.prompt_offset;
  const std::size_t number = choice.number / work.n;
  const auto* text = std::get_if<TextPrompt>(&work.prompts[number]);
  const std::size_t unwritten = choice.generation->submission.prompts[number].unwritten;
  const auto add = [&](GeneratedLogprob logprob) {
    // A special token appears in the text as the client wrote it; one that the model adds before every text
    // does not.
    const bool wrote =
        text != nullptr && text->parse_special && (choice.reported > 0 || !vocabulary_.facts().adds_bos);
    if (logprob.chosen.bytes.empty() && wrote)
      logprob.chosen.bytes = vocabulary_.written(logprob.chosen.token);
    const std::size_t begin = std::exchange(offset, offset + logprob.chosen.bytes.size());
    logprob.offset = begin - std::min(begin, unwritten);
    event.prompt_logprobs.push_back(std::move(logprob));
    ++choice.reported;
  };
  if (choice.reported == 0) {  // the first token has no logprob, and it may be the only token
    const std::string_view bytes = vocabulary_.piece(choice.tokens[0]);
    add({.chosen = {.token = choice.tokens[0], .logprob = std::nan(""), .bytes = std::string(bytes)},
         .top = {}});
  }
  for (std::uint32_t i = 0; i < slice.count; ++i) {
    const std::uint32_t index = slice.first + i;
    if (!is_reported(choice, index)) continue;
    const Logprobs logprobs(stepper_.logits(first_row + i), *work.prompt_logprobs);
    add(logprobs.of(choice.tokens[index + 1], vocabulary_));
  }
  if (!event.prompt_logprobs.empty()) outbox_.add(choice.generation->submission.delivery, std::move(event));
}

/// The prompt is computed: its choices diverge here, each with its own draw from the same logits.
void EngineWorker::begin_choices(Choice& first, std::span<const float> logits, MonotonicTime now) {
  Generation& generation = *first.generation;
  load_.prefixes.add(generation.submission.landmarks);
  if (!std::exchange(generation.first_token_sent, true))
    metrics_.time_to_first_token.observe(to_seconds(now - generation.submission.arrived));
  const std::uint32_t begin = first.number;
  const std::uint32_t end = begin + first.siblings;
  for (std::uint32_t i = begin + 1; i < end; ++i) {
    Choice& choice = *generation.choices[i];
    choice.begun = true;
    choice.tokens = first.tokens;
    choices_[choice.key] = &choice;
    scheduler_.fork(first.key, choice.key, &choice.tokens);
  }
  // A choice that ends at once may end the generation, so no other may be touched afterwards.
  const GenerationId id = generation.submission.id;
  for (std::uint32_t i = begin; i < end && generations_.contains(id); ++i) {
    Choice& choice = *generation.choices[i];
    TokenEvent event;
    if (choice.text.tokens() == 0) event.text = generation.echo_of(choice);
    if (generation.work->stop.max_tokens == 0U) {
      event.choice = i;
      event.finish = FinishReason::kLength;
      outbox_.add(generation.submission.delivery, std::move(event));
      metrics_.length.add();
      finish_choice(choice, now);
      continue;
    }
    if (!equip(choice)) return;
    scratch_.assign(logits.begin(), logits.end());
    add_token(choice, scratch_, now, std::move(event));
  }
}

/// `event` may already have text, which goes before the token's.
void EngineWorker::add_token(Choice& choice, std::span<float> logits, MonotonicTime now, TokenEvent event) {
  Generation& generation = *choice.generation;
  const StopConditions& stop = generation.work->stop;
  std::optional<Logprobs> logprobs;
  if (generation.work->top_logprobs) logprobs.emplace(logits, *generation.work->top_logprobs);
  const std::uint32_t index = choice.text.tokens();
  if (index < stop.min_tokens) {
    for (const TokenId end : vocabulary_.end_tokens()) logits[static_cast<std::size_t>(end)] = -INFINITY;
    for (const TokenId end : stop.stop_tokens) logits[static_cast<std::size_t>(end)] = -INFINITY;
  }
  const std::optional<TokenId> chosen = choice.sampler->sample(logits, index);
  if (!chosen) return fail(generation, generation.dead_end());
  const TokenId token = *chosen;
  choice.sampler->accept(token);
  event.choice = choice.number;
  event.index = index;
  event.tokens = {token};
  if (logprobs) {
    event.logprobs.push_back(logprobs->of(token, vocabulary_));
    event.logprobs.back().offset = choice.text.offset();
  }
  if (choice.last_token != MonotonicTime{})
    metrics_.inter_token_latency.observe(to_seconds(now - choice.last_token));
  choice.last_token = now;
  ++generation.usage.completion_tokens;
  metrics_.generation_tokens.add();

  event.finish = choice.text.add(token, event.text);
  const std::optional<FinishReason> finish = event.finish;
  if (finish) event.stop = choice.text.stop();
  outbox_.add(generation.submission.delivery, std::move(event));
  if (finish) {
    (finish == FinishReason::kStop ? metrics_.stopped : metrics_.length).add();
    finish_choice(choice, now);
    return;
  }
  choice.tokens.push_back(token);
  scheduler_.append(choice.key);
  pause_for(*generation.submission.delivery, choice.key);
}

void EngineWorker::pause_for(Delivery& reader, SequenceKey key) {
  if (reader.undelivered.load(std::memory_order_relaxed) < Delivery::kPauseAt) return;
  reader.paused.store(true);
  scheduler_.set_paused(key, true);
  // The reader may have caught up between the two lines; then it will not send a wake-up.
  if (reader.undelivered.load() < Delivery::kPauseAt / 2 && reader.paused.exchange(false))
    scheduler_.set_paused(key, false);
}

void EngineWorker::finish_choice(Choice& choice, MonotonicTime now) {
  Generation& generation = *choice.generation;
  drop_choice(choice.key);
  if (--generation.unfinished > 0) return;
  metrics_.request_latency.observe(to_seconds(now - generation.submission.arrived));
  outbox_.end(generation.submission.delivery, generation.usage);
  forget(generation.submission.id);
}

void EngineWorker::forget(GenerationId id) {
  const auto found = generations_.find(id);
  const Submission& submission = found->second->submission;
  inbox_.pool.give_back(submission.group, found->second->work->choices(), submission.bytes);
  generations_.erase(found);
}

/// Takes a choice out of the scheduler and the cache; its generation keeps the object.
void EngineWorker::drop_choice(SequenceKey key) {
  const auto found = choices_.find(key);
  if (found == choices_.end()) return;
  scheduler_.remove(key);
  // The object lives as long as its request, which may have hundreds of choices.
  found->second->sampler.reset();
  found->second->tokens = {};
  choices_.erase(found);
}

/// A failed step is planned again; after three failures in a row its requests fail.
void EngineWorker::give_up_on(DecodeStatus status) {
  if (++failures_in_a_row_ < 3) return;
  failures_in_a_row_ = 0;
  fail_all(Error{.code = ErrorCode::kInternal,
                 .origin = Origin::kEndpoint,
                 .retry = Retry::kElsewhere,
                 .message = status == DecodeStatus::kNoRoom ? "the model's cache could not hold the request"
                                                            : "the model failed to compute this request",
                 .reason = "engine_failed"});
}

void EngineWorker::fail(Generation& generation, const Error& error) {
  for (const auto& choice : generation.choices) drop_choice(choice->key);
  outbox_.fail(generation.submission.delivery, error);
  metrics_.failed.add();
  forget(generation.submission.id);
}

void EngineWorker::fail_all(const Error& error) {
  while (!generations_.empty()) fail(*generations_.begin()->second, error);
}

void EngineWorker::publish_load() {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  load_.running.store(static_cast<std::uint32_t>(scheduler_.running()), kRelaxed);
  load_.waiting.store(static_cast<std::uint32_t>(scheduler_.waiting()), kRelaxed);
  load_.kv_usage.store(static_cast<double>(scheduler_.cache().used_cells()) / scheduler_.cache().capacity(),
                       kRelaxed);
  load_.threads.store(scheduler_.threads(), kRelaxed);
  load_.prefill_backlog_tokens.store(scheduler_.missing_prompt_tokens(), kRelaxed);
  load_.step_time_us.store(
      std::chrono::duration_cast<std::chrono::microseconds>(scheduler_.decode_step_time()).count(), kRelaxed);
}

}  // namespace autoglm::engine
