#include "gateway/resilience/pooled_stream.h"

#include "runtime/race.h"

#include <utility>

namespace autoglm::gateway {

namespace openai = protocol::openai;

PooledStream::PooledStream(ModelPool& pool, InferenceRequestPtr request, CallContext context,
                           std::unique_ptr<Dispatch> dispatch, Opened opened)
    : pool_(pool),
      request_(std::move(request)),
      context_(std::move(context)),
      dispatch_(std::move(dispatch)),
      tokens_(std::get<GenerateRequest>(request_->work).choices()) {
  const auto& work = std::get<GenerateRequest>(request_->work);
  for (std::size_t i = 0; i < work.resume.size(); ++i) tokens_[i] = work.resume[i];  // a gateway before us
  const bool may_continue = pool_.config_.continue_text && request_->wire.stream && work.resume.empty() &&
                            request_->wire.protocol != WireBody::Protocol::kGenerate;
  if (may_continue && openai::is_plain_text(work)) text_.emplace();
  adopt(std::move(opened));
}

void PooledStream::adopt(Opened opened) {
  member_ = opened.member;
  place_ = std::move(opened.place);
  inner_ = std::move(opened.stream);
  first_ = std::move(opened.first);
  broken_.reset();
  got_on_ = false;
  exact_ = exact_ && inner_->tells_tokens();
  idle_ = Deadline::after(pool_.idle_timeout_);
  origin_.endpoint = pool_.dispatcher_->endpoints().members()[member_].name();
  origin_.attempts = dispatch_->attempts();
}

/// What the client has now; and what it has been told before a resume is not told again.
void PooledStream::note(EventBatch& batch) {
  if (resumed_ && batch.raw.empty()) {
    std::erase_if(batch.events, [](const TokenEvent& event) {
      return event.finish && event.tokens.empty() && event.text.empty();
    });
  }
  for (const TokenEvent& event : batch.events) {
    got_on_ |=
        !event.text.empty() || !event.reasoning.empty() || !event.tool_calls.empty() || !event.tokens.empty();
    if (event.choice < tokens_.size())
      tokens_[event.choice].insert(tokens_[event.choice].end(), event.tokens.begin(), event.tokens.end());
  }
  if (text_) note_text(batch);
  idle_ = Deadline::after(pool_.idle_timeout_);
}

void PooledStream::note_text(EventBatch& batch) {
  if (text_->continued) {
    batch.raw = openai::continue_frames(batch.raw, *text_->identity, text_->offset);
    if (batch.usage) batch.usage->completion_tokens += text_->offset;
  } else if (!text_->identity) {
    text_->identity = openai::read_identity(batch.raw);
  }
  for (const TokenEvent& event : batch.events) {
    text_->said += event.text;
    text_->tokens += event.text.empty() ? 0 : 1;
    text_->ended |= event.finish.has_value();
    // Thoughts and calls are not part of what a server would go on with.
    if (!event.reasoning.empty() || !event.tool_calls.empty()) {
      text_.reset();
      return;
    }
  }
}

/// Whether nothing is left to ask for: it had ended, or said as many tokens as it may.
bool PooledStream::has_all_text() const {
  const auto& stop = std::get<GenerateRequest>(request_->work).stop;
  return text_->ended || (stop.max_tokens && text_->tokens >= *stop.max_tokens);
}

/// What was missing of an answer that had all its text.
EventBatch PooledStream::text_end() const {
  EventBatch batch;
  batch.raw = openai::end_frames(*text_->identity, request_->wire.protocol, !text_->ended);
  batch.usage = Usage{.completion_tokens = text_->tokens};
  return batch;
}

/// What is left of the request, for somebody who goes on with it.
InferenceRequestPtr PooledStream::remainder(Continuation from) const {
  auto copy = std::make_shared<InferenceRequest>(*request_);
  auto& work = std::get<GenerateRequest>(copy->work);
  if (from == Continuation::kExact) {
    work.resume = tokens_;
  } else {
    work.resume_text = text_->said;
    work.resume_text_tokens = text_->tokens;
  }
  return copy;
}

/// A pending one may be given up and begun again: `inner_` is there when it is done, and not before; not at
/// all when only the end is missing.
Task<Result<void>> PooledStream::reopen() {
  for (const Continuation from : {Continuation::kExact, Continuation::kText}) {
    if (from == Continuation::kExact ? !exact_ : !text_ || !text_->identity) continue;
    if (from == Continuation::kText && has_all_text()) co_return Result<void>();
    const InferenceRequestPtr rest = remainder(from);
    // While nothing was said, anybody can say it from the beginning.
    const bool anew = from == Continuation::kText && text_->said.empty();
    dispatch_->require(anew ? Continuation::kNone : from, *rest);
    auto opened = co_await pool_.open(rest, context_, *dispatch_);
    if (!opened) continue;
    pool_.metrics_.resumed.add();
    const std::string before = origin_.endpoint;
    const std::string why = broken_->message;
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
  if (exact_ || text_) pool_.metrics_.not_resumed.add();
  co_return fail(*broken_);
}

Task<Result<EventBatch>> PooledStream::next() {
  while (true) {
    if (!inner_) {
      if (auto reopened = co_await reopen(); !reopened) co_return fail(reopened.error());
      if (!inner_) co_return text_end();
    }
    Result<EventBatch> batch =
        first_ ? Result<EventBatch>(std::move(*std::exchange(first_, std::nullopt)))
               : co_await with_deadline(idle_, inner_->next(), "the endpoint's next event");
    if (batch) {
      note(*batch);
      if (batch->last()) {
        place_.reset();
      } else if (batch->raw.empty()) {
        if (batch->events.empty() || request_->wire.stream) continue;
      }
      co_return batch;
    }
    broken_ = batch.error();
    inner_.reset();
    place_.reset();
    dispatch_->broke(member_, *broken_, got_on_, std::chrono::steady_clock::now());
    if (broken_->origin == Origin::kClient) co_return fail(*broken_);  // wherever it goes on
  }
}

}  // namespace autoglm::gateway
