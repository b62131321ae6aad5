#include "engine/engine_worker.h"

#include "base/assert.h"
#include "base/random.h"
#include "engine/logprobs.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace autoglm::engine {

struct EngineWorker::Choice {
  Generation* generation = nullptr;
  std::uint32_t number = 0;
  SequenceKey key;
  std::vector<TokenId> tokens;  ///< prompt and answer
  std::uint32_t generated = 0;
  std::unique_ptr<TokenSampler> sampler;
  TextAssembler text;
  MonotonicTime last_token;
  std::optional<FinishReason> finished;
};

struct EngineWorker::Generation {
  Submission submission;
  const GenerateRequest* work = nullptr;
  std::uint64_t seed = 0;
  std::uint32_t max_tokens = 0;
  std::vector<std::unique_ptr<Choice>> choices;
  std::uint32_t unfinished = 0;
  bool started = false;
  bool first_token_sent = false;
  Usage usage;
};

void EngineInbox::cancel(GenerationId id) {
  // If the step computes nothing else it can stop now; otherwise it is bounded by max_stall anyway.
  if (alone.load() == id.value) {
    if (Backend* target = backend.load()) target->abort.store(true, std::memory_order_relaxed);
  }
  // Bounded by the submissions, which the engine bounds, so there is always room, unless it is closed.
  mailbox.try_push(Cancellation{id});
}

EngineWorker::EngineWorker(Backend& backend, SamplerFactory samplers, const SchedulerLimits& limits,
                           EngineInbox& inbox, EngineLoad& load, EngineMetrics& metrics)
    : backend_(backend),
      make_sampler_(std::move(samplers)),
      inbox_(inbox),
      load_(load),
      metrics_(metrics),
      scheduler_(limits) {
  inbox_.backend.store(&backend_);
}

EngineWorker::~EngineWorker() { inbox_.backend.store(nullptr); }

void EngineWorker::run() {
  bool idle = true;
  while (!inbox_.mailbox.closed()) {
    take_messages(idle);
    const Scheduler::Step planned = scheduler_.plan(std::chrono::steady_clock::now());
    apply(planned);
    idle = planned.slices.empty();
    if (!idle) {
      const MonotonicTime before = std::chrono::steady_clock::now();
      const DecodeStatus status = compute(planned);
      const MonotonicTime now = std::chrono::steady_clock::now();
      if (status == DecodeStatus::kOk) {
        failures_in_a_row_ = 0;
        scheduler_.complete(planned, now - before);
        metrics_.step_time.observe(to_seconds(now - before));
        choose_tokens(planned, now);
      } else {
        scheduler_.revert(planned);
        if (status != DecodeStatus::kAborted) give_up_on(status);
      }
    }
    publish_load();
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
  for (EngineMessage& message : messages_) {
    if (auto* submission = std::get_if<Submission>(&message)) {
      start(std::move(*submission));
    } else if (const auto* cancellation = std::get_if<Cancellation>(&message)) {
      cancel(cancellation->id);
    } else if (const auto found = generations_.find(std::get<WakeUp>(message).id);
               found != generations_.end()) {
      for (const auto& choice : found->second->choices) scheduler_.set_paused(choice->key, false);
    }
  }
}

void EngineWorker::start(Submission submission) {
  auto generation = std::make_unique<Generation>();
  generation->work = &std::get<GenerateRequest>(submission.request->work);
  const GenerateRequest& work = *generation->work;
  const auto prompt_tokens = static_cast<std::uint32_t>(submission.prompt.size());
  const std::uint32_t room = backend_.facts().context_length - prompt_tokens;
  generation->max_tokens = std::min(work.stop.max_tokens.value_or(room), room);
  generation->seed = work.sampling.seed ? *work.sampling.seed : Random::from_entropy()();
  generation->usage.prompt_tokens = prompt_tokens;
  generation->unfinished = work.n;
  for (std::uint32_t i = 0; i < work.n; ++i) {
    auto choice =
        std::make_unique<Choice>(Choice{.generation = generation.get(),
                                        .number = i,
                                        .key = SequenceKey{++last_sequence_},
                                        .tokens = submission.prompt,
                                        .text = TextAssembler(submission.stop, work.stop.include_stop)});
    choice->sampler =
        make_sampler_({.params = &work.sampling,
                       .seed = generation->seed,
                       .choice = i,
                       .vocabulary_size = backend_.facts().vocabulary_size,
                       .prompt = submission.prompt,
                       .constraint = submission.constraint ? submission.constraint->clone() : nullptr});
    generation->choices.push_back(std::move(choice));
  }
  Choice& first = *generation->choices.front();
  choices_[first.key] = &first;
  scheduler_.add({.key = first.key,
                  .tokens = &first.tokens,
                  .slots = work.n,
                  .priority = submission.priority,
                  .tenant = submission.tenant,
                  .salt = submission.salt,
                  .arrived = submission.arrived,
                  .deadline = submission.deadline});
  metrics_.prompt_tokens.add(prompt_tokens);
  generation->submission = std::move(submission);
  generations_.emplace(generation->submission.id, std::move(generation));
}

void EngineWorker::cancel(GenerationId id) {
  const auto found = generations_.find(id);
  if (found == generations_.end()) return;
  Generation& generation = *found->second;
  for (const auto& choice : generation.choices) drop_choice(choice->key);
  metrics_.aborted.add();
  generations_.erase(found);
  inbox_.outstanding.fetch_sub(1);
}

void EngineWorker::apply(const Scheduler::Step& step) {
  for (const KvOperation& operation : step.operations) backend_.apply(operation);
  metrics_.preemptions.add(step.preempted.size());
  for (const Scheduler::Admission& admission : step.admitted) {
    Generation& generation = *choices_.at(admission.sequence)->generation;
    if (std::exchange(generation.started, true)) continue;
    generation.usage.cached_tokens = admission.cached;
    metrics_.prefix_cache_queries.add(generation.submission.prompt.size());
    metrics_.prefix_cache_hits.add(admission.cached);
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
      rows_.push_back({.token = choice.tokens[index],
                       .position = static_cast<std::int32_t>(index),
                       .sequence = slice.slot,
                       .wants_logits = slice.completes && i + 1 == slice.count});
    }
  }
  backend_.abort.store(false, std::memory_order_relaxed);
  inbox_.alone.store(shared ? 0 : only->submission.id.value);
  const DecodeStatus status = backend_.decode(rows_);
  inbox_.alone.store(0);
  return status;
}

void EngineWorker::choose_tokens(const Scheduler::Step& step, MonotonicTime now) {
  std::size_t row = 0;
  for (const Scheduler::Slice& slice : step.slices) {
    row += slice.count;
    if (!slice.completes) continue;
    Choice& choice = *choices_.at(slice.sequence);
    const std::span<float> logits = backend_.logits(row - 1);
    if (!choice.generation->first_token_sent) {
      fork_choices(*choice.generation, choice, logits, now);
    } else {
      add_token(choice, logits, now);
    }
  }
}

/// The prompt is computed: its choices part here, each with a draw of its own from the same logits.
void EngineWorker::fork_choices(Generation& generation, Choice& first, std::span<const float> logits,
                                MonotonicTime now) {
  generation.first_token_sent = true;
  metrics_.time_to_first_token.observe(to_seconds(now - generation.submission.arrived));
  for (std::uint32_t i = 1; i < generation.work->n; ++i) {
    Choice& choice = *generation.choices[i];
    choices_[choice.key] = &choice;
    scheduler_.fork(first.key, choice.key, &choice.tokens);
  }
  // A choice that ends at once may end the generation: look at no other afterwards.
  const std::uint32_t count = generation.work->n;
  const GenerationId id = generation.submission.id;
  for (std::uint32_t i = 0; i < count && generations_.contains(id); ++i) {
    scratch_.assign(logits.begin(), logits.end());
    add_token(*generation.choices[i], scratch_, now);
  }
}

void EngineWorker::add_token(Choice& choice, std::span<float> logits, MonotonicTime now) {
  Generation& generation = *choice.generation;
  const StopConditions& stop = generation.work->stop;
  std::optional<Logprobs> logprobs;
  if (generation.work->top_logprobs) logprobs.emplace(logits, *generation.work->top_logprobs);
  if (choice.generated < stop.min_tokens) {
    for (const TokenId end : backend_.end_tokens()) logits[static_cast<std::size_t>(end)] = -INFINITY;
    for (const TokenId end : stop.stop_tokens) logits[static_cast<std::size_t>(end)] = -INFINITY;
  }
  const TokenId token = choice.sampler->sample(logits, choice.generated);
  choice.sampler->accept(token);
  TokenEvent event{.choice = choice.number, .index = choice.generated, .tokens = {token}};
  if (logprobs) event.logprobs.push_back(logprobs->of(token, backend_));
  if (choice.generated > 0) metrics_.inter_token_latency.observe(to_seconds(now - choice.last_token));
  choice.last_token = now;
  ++choice.generated;
  ++generation.usage.completion_tokens;
  metrics_.generation_tokens.add();

  if (ends(choice, token)) {
    if (stop.include_stop) choice.text.add(backend_.piece(token), event.text);
    choice.finished = FinishReason::kStop;
    choice.text.finish(event.text);
  } else if (choice.text.add(backend_.piece(token), event.text)) {
    choice.finished = FinishReason::kStop;
  } else if (choice.generated >= generation.max_tokens) {
    choice.finished = FinishReason::kLength;
    choice.text.finish(event.text);
  }
  event.finish = choice.finished;
  outbox_.add(generation.submission.delivery, std::move(event));
  if (choice.finished) {
    finish_choice(choice, now);
    return;
  }
  choice.tokens.push_back(token);
  scheduler_.append(choice.key);
  Delivery& delivery = *generation.submission.delivery;
  if (delivery.undelivered.load(std::memory_order_relaxed) >= Delivery::kPauseAt) {
    delivery.paused.store(true);
    scheduler_.set_paused(choice.key, true);
    // The reader may have caught up between the two lines; then nobody would wake us.
    if (delivery.undelivered.load() < Delivery::kPauseAt / 2 && delivery.paused.exchange(false)) {
      scheduler_.set_paused(choice.key, false);
    }
  }
}

bool EngineWorker::ends(const Choice& choice, TokenId token) const {
  const Submission& submission = choice.generation->submission;
  const StopConditions& stop = choice.generation->work->stop;
  if (std::ranges::find(stop.stop_tokens, token) != stop.stop_tokens.end()) return true;
  // Behind a complete grammar there is nothing else to say, whatever ignore_eos asks for.
  return backend_.ends_generation(token) && (!stop.ignore_eos || submission.constraint != nullptr);
}

void EngineWorker::finish_choice(Choice& choice, MonotonicTime now) {
  Generation& generation = *choice.generation;
  (choice.finished == FinishReason::kStop ? metrics_.stopped : metrics_.length).add();
  drop_choice(choice.key);
  if (--generation.unfinished > 0) return;
  metrics_.request_latency.observe(to_seconds(now - generation.submission.arrived));
  outbox_.end(generation.submission.delivery, generation.usage);
  generations_.erase(generation.submission.id);
  inbox_.outstanding.fetch_sub(1);
}

/// Takes a choice out of the scheduler and the cache; its generation keeps the object.
void EngineWorker::drop_choice(SequenceKey key) {
  const auto found = choices_.find(key);
  if (found == choices_.end()) return;
  scheduler_.remove(key);
  choices_.erase(found);
}

/// A step that was not done is planned again; what fails three times in a row fails its requests.
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

void EngineWorker::fail_all(const Error& error) {
  for (auto& [id, generation] : generations_) {
    for (const auto& choice : generation->choices) drop_choice(choice->key);
    outbox_.fail(generation->submission.delivery, error);
    metrics_.failed.add();
    inbox_.outstanding.fetch_sub(1);
  }
  generations_.clear();
}

void EngineWorker::publish_load() {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  load_.running.store(static_cast<std::uint32_t>(scheduler_.running()), kRelaxed);
  load_.waiting.store(static_cast<std::uint32_t>(scheduler_.waiting()), kRelaxed);
  load_.kv_usage.store(static_cast<double>(scheduler_.cache().used_cells()) / scheduler_.cache().capacity(),
                       kRelaxed);
  load_.prefill_backlog_tokens.store(scheduler_.missing_prompt_tokens(), kRelaxed);
  load_.step_time_us.store(
      std::chrono::duration_cast<std::chrono::microseconds>(scheduler_.decode_step_time()).count(), kRelaxed);
}

}  // namespace autoglm::engine
