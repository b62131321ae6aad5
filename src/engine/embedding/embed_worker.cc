#include "engine/embedding/embed_worker.h"

#include "base/assert.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>
#include <utility>

namespace autoglm::engine {

namespace {

Error no_numbers() {
  return Error{.code = ErrorCode::kInternal,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = "the model gave something that is no number: its file may be broken",
               .reason = "engine_failed"};
}

}  // namespace

EmbedWorker::EmbedWorker(Embedder& embedder, std::uint32_t threads, std::uint32_t max_batch,
                         EngineInbox& inbox, EngineLoad& load, EngineMetrics& metrics)
    : embedder_(embedder),
      threads_(threads),
      inbox_(inbox),
      load_(load),
      metrics_(metrics),
      queue_(max_batch, embedder.facts().max_sequences) {}

void EmbedWorker::run() {
  while (!inbox_.mailbox.closed()) {
    take_messages(queue_.empty());
    const Picks picks = queue_.plan();
    if (!picks.empty()) {
      publish_load(picks);
      step(picks);
    }
    publish_load({});
    outbox_.flush();
  }
  const Error ending{
      .code = ErrorCode::kUnavailable, .retry = Retry::kElsewhere, .message = "the server is shutting down"};
  while (!jobs_.empty()) fail(jobs_.begin()->first, ending);
  outbox_.flush();
}

void EmbedWorker::take_messages(bool may_wait) {
  messages_.clear();
  if (may_wait) {
    inbox_.mailbox.wait_and_take_all(messages_);
  } else {
    inbox_.mailbox.take_all(messages_);
  }
  for (EngineMessage& message : messages_) {
    if (auto* submission = std::get_if<EmbedSubmission>(&message)) {
      start(std::move(*submission));
    } else if (const auto* cancellation = std::get_if<Cancellation>(&message)) {
      inbox_.note_cancellation();
      cancel(cancellation->id);
    }
  }
}

void EmbedWorker::start(EmbedSubmission submission) {
  const GenerationId id = submission.id;
  Job& job = jobs_[id];
  job.submission = std::move(submission);
  const EmbedPreparation& work = job.submission.preparation;
  metrics_.prompt_tokens.add(work.tokens);
  job.missing = work.sequences.size();
  job.outputs.resize(job.missing);
  std::vector<std::uint32_t> lengths;
  for (const auto& sequence : work.sequences) lengths.push_back(static_cast<std::uint32_t>(sequence.size()));
  queue_.add(id, job.submission.priority, std::move(lengths));
}

void EmbedWorker::cancel(GenerationId id) {
  if (!jobs_.contains(id)) return;
  metrics_.aborted.add();
  forget(id);
}

void EmbedWorker::step(const Picks& picks) {
  sequences_.clear();
  bool shared = false;
  const MonotonicTime before = std::chrono::steady_clock::now();
  for (const EmbedQueue::Pick& pick : picks) {
    Job& job = jobs_.at(pick.id);
    sequences_.emplace_back(job.submission.preparation.sequences[pick.sequence]);
    shared |= pick.id != picks.front().id;
    if (!std::exchange(job.started, true))
      metrics_.queue_time.observe(to_seconds(before - job.submission.arrived));
  }
  inbox_.begin_step(shared ? std::nullopt : std::optional(picks.front().id));
  const DecodeStatus status = embedder_.compute(sequences_, threads_, inbox_.stop);
  inbox_.end_step();
  const MonotonicTime now = std::chrono::steady_clock::now();
  if (status == DecodeStatus::kOk) {
    failures_in_a_row_ = 0;
    metrics_.step_time.observe(to_seconds(now - before));
    take_outputs(picks, now);
  } else if (status != DecodeStatus::kAborted) {
    give_up_on(picks);
  }
}

void EmbedWorker::take_outputs(const Picks& picks, MonotonicTime now) {
  queue_.take(picks);
  for (std::size_t i = 0; i < picks.size(); ++i) {
    const auto found = jobs_.find(picks[i].id);
    if (found == jobs_.end()) continue;  // another of its texts has failed
    Job& job = found->second;
    const std::span<const float> output = embedder_.output(i);
    if (!std::ranges::all_of(output, [](float value) { return std::isfinite(value); })) {
      fail(picks[i].id, no_numbers());
      continue;
    }
    job.outputs[picks[i].sequence].assign(output.begin(), output.end());
    if (--job.missing == 0) finish(job, now);
  }
}

void EmbedWorker::finish(Job& job, MonotonicTime now) {
  EmbedSubmission& from = job.submission;
  outbox_.answer(from.delivery, from.preparation.answer(std::move(job.outputs)),
                 {.prompt_tokens = from.preparation.tokens});
  metrics_.request_latency.observe(to_seconds(now - from.arrived));
  metrics_.stopped.add();
  forget(from.id);
}

/// A failed step is planned again; after three failures in a row its requests fail.
void EmbedWorker::give_up_on(const Picks& picks) {
  if (++failures_in_a_row_ < 3) return;
  failures_in_a_row_ = 0;
  std::set<GenerationId> failed;
  for (const EmbedQueue::Pick& pick : picks) failed.insert(pick.id);
  for (const GenerationId id : failed) {
    fail(id, Error{.code = ErrorCode::kInternal,
                   .origin = Origin::kEndpoint,
                   .retry = Retry::kElsewhere,
                   .message = "the model failed to compute this request",
                   .reason = "engine_failed"});
  }
}

void EmbedWorker::fail(GenerationId id, const Error& error) {
  outbox_.fail(jobs_.at(id).submission.delivery, error);
  metrics_.failed.add();
  forget(id);
}

void EmbedWorker::forget(GenerationId id) {
  queue_.remove(id);
  const EmbedSubmission& submission = jobs_.at(id).submission;
  inbox_.pool.give_back(submission.group, 1, submission.preparation.bytes);
  jobs_.erase(id);
}

void EmbedWorker::publish_load(const Picks& picks) {
  std::set<GenerationId> running;
  for (const EmbedQueue::Pick& pick : picks) running.insert(pick.id);
  constexpr auto kRelaxed = std::memory_order_relaxed;
  load_.running.store(static_cast<std::uint32_t>(running.size()), kRelaxed);
  load_.waiting.store(static_cast<std::uint32_t>(jobs_.size() - running.size()), kRelaxed);
  load_.threads.store(threads_, kRelaxed);
  load_.prefill_backlog_tokens.store(queue_.tokens(), kRelaxed);
}

}  // namespace autoglm::engine
