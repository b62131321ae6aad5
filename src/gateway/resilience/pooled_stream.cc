#include "gateway/resilience/pooled_stream.h"

#include "runtime/race.h"

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

namespace openai = protocol::openai;

PooledStream::PooledStream(ModelPool& pool, InferenceRequestPtr request, CallContext context,
                           std::unique_ptr<Dispatch> dispatch, Opened opened)
    : pool_(pool),
      request_(std::move(request)),
      context_(std::move(context)),
      dispatch_(std::move(dispatch)),
      memory_(pool.dependencies_.answer_memory) {
  const GenerateRequest* work = request_->generation();
  exact_ = work != nullptr;
  if (work != nullptr) {
    tokens_ = work->resume;  // by the caller
    tokens_.resize(work->choices());
    const bool by_events = request_->wire.stream || request_->wire.protocol == WireBody::Protocol::kNone;
    const bool may_continue = pool_.config_.continue_text && by_events && work->resume.empty() &&
                              request_->wire.protocol != WireBody::Protocol::kGenerate;
    if (may_continue && openai::is_plain_text(*work)) text_.emplace();
  }
  // The caller's deadline was for the first events; the rest has the pool's timeouts.
  if (request_->wire.stream) context_.deadline = Deadline::never();
  adopt(std::move(opened));
}

void PooledStream::adopt(Opened opened) {
  ask_ = std::move(opened.ask);
  inner_ = std::move(opened.stream);
  member_ = ask_->shared_member();
  first_ = std::move(opened.first);
  broken_.reset();
  got_on_ = false;
  exact_ = exact_ && inner_->tells_tokens();
  if (!origin_.answer) origin_.answer = inner_->head();
  idle_ = Deadline::after(pool_.idle_timeout_);
  origin_.endpoint = member_->name();
  origin_.attempts = dispatch_->attempts();
}

/// Drops the ends of choices that the client was told before a resume, and notes those that it is told now.
void PooledStream::note_translated(EventBatch& batch) {
  translated_ = true;
  const GenerateRequest* work = request_->generation();
  if (work == nullptr) return;
  ended_.resize(work->choices());
  std::erase_if(batch.events, [&](const TokenEvent& event) {
    return event.choice >= ended_.size() || (resumed_ && event.finish && ended_[event.choice]);
  });
  for (const TokenEvent& event : batch.events) {
    if (event.finish) ended_[event.choice] = true;
  }
}

/// Notes what the client has now.
void PooledStream::note(EventBatch& batch) {
  if (batch.raw.empty() && !batch.events.empty()) note_translated(batch);
  for (const TokenEvent& event : batch.events) {
    got_on_ |=
        !event.text.empty() || !event.reasoning.empty() || !event.tool_calls.empty() || !event.tokens.empty();
    if (!exact_ || event.choice >= tokens_.size()) continue;
    tokens_[event.choice].insert(tokens_[event.choice].end(), event.tokens.begin(), event.tokens.end());
    tokens_kept_ += event.tokens.size();
  }
  if (text_) note_text(batch);
  bound_kept();
  idle_ = Deadline::after(pool_.idle_timeout_);
}

/// An answer that is too long for the memory of answers still passes; if it breaks, it is not resumed.
void PooledStream::bound_kept() {
  // Both grow by doubling.
  const std::size_t said = text_ ? text_->said.size() : 0;
  if (memory_.cover(2 * (tokens_kept_ * sizeof(TokenId) + said))) return;
  exact_ = false;
  tokens_ = {};
  tokens_kept_ = 0;
  if (text_) text_->forget();
  memory_ = {};
}

void PooledStream::note_text(EventBatch& batch) {
  if (text_->continued) {
    if (!batch.raw.empty()) {
      batch.raw = openai::continue_frames(batch.raw, *text_->identity, text_->offset);
      if (batch.raw.empty()) batch.events.clear();  // they only opened an answer
    }
    if (batch.usage) {  // what was said before the break was part of the second prompt
      batch.usage->prompt_tokens -= std::min(batch.usage->prompt_tokens, text_->offset);
      batch.usage->completion_tokens += text_->offset;
    }
  } else if (!text_->identity) {
    text_->identity = openai::read_identity(batch.raw);
  }
  for (const TokenEvent& event : batch.events) {
    if (text_->whole) text_->said += event.text;
    text_->tokens += event.text.empty() ? 0 : 1;
    text_->ended |= event.finish.has_value();
    // A server that continues from text knows neither reasoning nor tool calls.
    if (!event.reasoning.empty() || !event.tool_calls.empty()) text_->forget();
  }
}

/// Whether nothing is left to ask for: the answer has ended, or has as many tokens as it may.
bool PooledStream::has_all_text() const {
  const StopConditions& stop = request_->generation()->stop;
  return text_->ended || (text_->whole && stop.max_tokens && text_->tokens >= *stop.max_tokens);
}

/// The frames that are missing of an answer that has all its text.
EventBatch PooledStream::text_end() const {
  EventBatch batch;
  if (!translated_) {
    batch.raw = openai::end_frames(*text_->identity, request_->wire.protocol, !text_->ended);
  } else if (!text_->ended) {
    batch.events.push_back({.finish = FinishReason::kLength});
  }
  batch.usage = Usage{.completion_tokens = text_->tokens};
  return batch;
}

/// What is left of the request, for an endpoint that continues it.
InferenceRequestPtr PooledStream::remainder(Continuation from) const {
  auto copy = std::make_shared<InferenceRequest>(*request_);
  // What the client's codec began is not gone on with in an endpoint's own frames.
  if (translated_) copy->wire = {.stream = request_->wire.stream};
  GenerateRequest& work = *copy->generation();
  if (from == Continuation::kExact) {
    work.resume = tokens_;
  } else {
    work.resume_text = text_->said;
    work.resume_text_tokens = text_->tokens;
  }
  return copy;
}

/// Waits for the end of the reopening that is under way, or begins one.
Task<Result<void>> PooledStream::reopened() {
  if (!reopening_) {
    reopening_ = std::make_unique<Reopening>();
    reopening_->scope.spawn([](PooledStream& self, Reopening& reopening) -> Task<void> {
      reopening.outcome = co_await self.reopen();
      reopening.ended.set();
    }(*this, *reopening_));
  }
  co_await reopening_->ended.wait();
  Result<void> outcome = std::move(*reopening_->outcome);
  reopening_.reset();
  co_return outcome;
}

/// Sets `inner_` when it is done, and not before; leaves it null when only the answer's end is missing.
Task<Result<void>> PooledStream::reopen() {
  for (const Continuation from : {Continuation::kExact, Continuation::kText}) {
    if (from == Continuation::kExact ? !exact_ : !text_ || !text_->identity) continue;
    if (from == Continuation::kText && has_all_text()) co_return Result<void>();
    if (from == Continuation::kText && !text_->whole) continue;
    const InferenceRequestPtr rest = remainder(from);
    // While nothing was said, any endpoint can answer from the beginning.
    const bool anew = from == Continuation::kText && text_->said.empty();
    dispatch_->require(anew ? Continuation::kNone : from, *rest);
    auto opened = co_await pool_.open(rest, context_, *dispatch_);
    if (!opened) continue;
    pool_.metrics_.resumed.add();
    const std::string before = origin_.endpoint;
    const std::string why = broken_->log_message();
    exact_ = exact_ && from == Continuation::kExact;
    if (from == Continuation::kText) {
      text_->continued = true;
      text_->offset = text_->tokens;
    }
    resumed_ = true;
    adopt(std::move(*opened));
    pool_.dependencies_.log.warning("stream resumed",
                                    {{"model", pool_.name_},
                                     {"request_id", request_->id},
                                     {"from", before},
                                     {"to", origin_.endpoint},
                                     {"by", from == Continuation::kExact ? "tokens" : "text"},
                                     {"error", why}});
    co_return Result<void>();
  }
  if (exact_ || (text_ && text_->whole)) pool_.metrics_.not_resumed.add();
  co_return fail(dispatch_->told(*broken_));
}

Task<Result<EventBatch>> PooledStream::next() {
  while (true) {
    if (over_) co_return fail(stream_is_over());
    if (!inner_) {
      auto done = co_await reopened();
      over_ = !inner_;
      if (!done) co_return fail(std::move(done).error());
      if (over_) co_return text_end();
    }
    Result<EventBatch> batch;
    if (first_) {
      batch = std::move(*std::exchange(first_, std::nullopt));
    } else {
      Ask::Wait wait(*ask_, idle_);
      batch = co_await with_deadline(idle_, inner_->next(), "the endpoint's next event");
      wait.over();
    }
    if (batch) {
      note(*batch);
      if (batch->last()) {
        over_ = true;
        ask_.reset();
      } else if (batch->raw.empty() && batch->events.empty()) {
        continue;
      }
      co_return batch;
    }
    const bool given_up =
        batch.error().code == ErrorCode::kDeadlineExceeded && batch.error().origin == Origin::kLocal;
    broken_ = given_up ? too_silent() : std::move(batch.error());
    inner_.reset();
    reopening_.reset();  // one that ended without a waiter is of the break before
    dispatch_->broke(std::move(*std::exchange(ask_, std::nullopt)), *broken_, got_on_, loop_time());
    over_ = broken_->origin == Origin::kClient;  // any other endpoint would fail likewise
    if (over_) co_return fail(*broken_);
  }
}

}  // namespace autoglm::gateway
