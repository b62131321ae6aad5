#include "gateway/resilience/pooled_stream.h"

#include "runtime/race.h"

#include <utility>

namespace autoglm::gateway {

PooledStream::PooledStream(ModelPool& pool, InferenceRequestPtr request, CallContext context,
                           ModelPool::Attempts attempts, RetryBudget::Token active, ModelPool::Opened opened)
    : pool_(pool),
      request_(std::move(request)),
      context_(std::move(context)),
      attempts_(std::move(attempts)),
      active_(std::move(active)),
      tokens_(std::get<GenerateRequest>(request_->work).choices()) {
  const auto& resume = std::get<GenerateRequest>(request_->work).resume;  // a gateway before us, perhaps
  for (std::size_t i = 0; i < resume.size(); ++i) tokens_[i] = resume[i];
  adopt(std::move(opened));
}

void PooledStream::adopt(ModelPool::Opened opened) {
  member_ = opened.member;
  in_flight_ = std::move(opened.in_flight);
  inner_ = std::move(opened.stream);
  first_ = std::move(opened.first);
  broken_.reset();
  idle_ = Deadline::after(pool_.idle_timeout_);
  origin_.endpoint = pool_.members_[member_]->name;
  origin_.attempts = attempts_.count;
}

/// What the client has now; and what it has been told before a resume is not told again.
void PooledStream::note(EventBatch& batch) {
  if (resumed_ && batch.raw.empty()) {
    std::erase_if(batch.events, [](const TokenEvent& event) {
      return event.finish && event.tokens.empty() && event.text.empty();
    });
  }
  for (const TokenEvent& event : batch.events) {
    if (event.choice < tokens_.size())
      tokens_[event.choice].insert(tokens_[event.choice].end(), event.tokens.begin(), event.tokens.end());
  }
  idle_ = Deadline::after(pool_.idle_timeout_);
}

bool PooledStream::can_resume() const {
  return request_->wire.stream && request_->wire.protocol != WireBody::Protocol::kGenerate &&
         pool_.resumes(member_);
}

/// A pending one may be given up and begun again: `inner_` is there when it is done, and not before.
Task<Result<void>> PooledStream::reopen() {
  if (!can_resume()) co_return fail(*broken_);
  auto copy = std::make_shared<InferenceRequest>(*request_);
  std::get<GenerateRequest>(copy->work).resume = tokens_;
  attempts_.resuming = true;
  auto opened = co_await pool_.open(std::move(copy), context_, attempts_);
  if (!opened) {
    pool_.metrics_.not_resumed.add();
    co_return fail(*broken_);
  }
  pool_.metrics_.resumed.add();
  pool_.dependencies_.log.warning("stream resumed", {{"model", pool_.name_},
                                                     {"request_id", request_->id},
                                                     {"from", origin_.endpoint},
                                                     {"to", pool_.members_[opened->member]->name},
                                                     {"error", broken_->message}});
  resumed_ = true;
  adopt(std::move(*opened));
  co_return Result<void>();
}

Task<Result<EventBatch>> PooledStream::next() {
  while (true) {
    if (!inner_) {
      if (auto reopened = co_await reopen(); !reopened) co_return fail(reopened.error());
    }
    Result<EventBatch> batch =
        first_ ? Result<EventBatch>(std::move(*std::exchange(first_, std::nullopt)))
               : co_await with_deadline(idle_, inner_->next(), "the endpoint's next event");
    if (batch) {
      note(*batch);
      if (batch->last()) {
        in_flight_.reset();
      } else if (batch->raw.empty() && batch->events.empty()) {
        continue;
      }
      co_return batch;
    }
    broken_ = batch.error();
    inner_.reset();
    in_flight_.reset();
    pool_.breakers_[member_]->count_failure(std::chrono::steady_clock::now());
    pool_.metrics_.count(
        member_, broken_->code == ErrorCode::kDeadlineExceeded ? Outcome::kTimeout : Outcome::kFailed);
  }
}

}  // namespace autoglm::gateway
