#include "gateway/front/call/generation_call.h"

#include "gateway/front/call/long_body.h"
#include "runtime/race.h"

#include <ctime>
#include <utility>

namespace autoglm::gateway {

namespace {

// Proxies and clients give up on a connection that says nothing for long.
constexpr Duration kKeepAlive = std::chrono::seconds(15);

/// Approximate memory of an event that is kept until the answer is whole.
std::size_t size_of(const TokenEvent& event) {
  std::size_t size = event.text.size() + event.reasoning.size() + event.tokens.size() * sizeof(TokenId);
  for (const ToolCallDelta& call : event.tool_calls)
    size += call.id.size() + call.name.size() + call.arguments.size();
  for (const auto* list : {&event.logprobs, &event.prompt_logprobs})
    for (const GeneratedLogprob& each : *list) size += sizeof each + each.top.size() * sizeof(TokenLogprob);
  return size;
}

/// Bytes that a whole answer takes as text, about.
std::size_t size_of(const WholeAnswer& answer) {
  constexpr std::size_t kNumber = 16;
  if (const auto* scores = std::get_if<ScoreResult>(&answer)) return scores->scores.size() * 4 * kNumber;
  std::size_t numbers = 0;
  for (const auto& vector : std::get<EmbedResult>(answer).vectors) numbers += vector.size();
  return numbers * kNumber;
}

// Writing more than this takes milliseconds, for which the other requests of the loop would wait.
constexpr std::size_t kLongAnswer = std::size_t{256} << 10U;

}  // namespace

GenerationCall::GenerationCall(const Pipeline& pipeline, const GenerationSettings& settings, AnswerSink& sink,
                               CallRecord& record)
    : pipeline_(pipeline),
      settings_(settings),
      sink_(sink),
      record_(record),
      memory_(settings.answer_memory.get()),
      began_(std::chrono::steady_clock::now()) {}

Task<void> GenerationCall::run(std::shared_ptr<const protocol::Codec> codec, IncomingCall incoming) {
  codec_ = std::move(codec);
  if (!co_await open(std::move(incoming))) co_return;
  if (streamed_) {
    co_await send_stream();
  } else {
    co_await send_whole();
  }
}

GenerationCall::ReadBody GenerationCall::read(const protocol::Codec& codec, const std::string& body) {
  ReadBody read{.call = codec.decode(body), .outline = {}};
  if (read.call) return read;
  if (auto outline = codec.outline(body)) read.outline = std::move(*outline);
  return read;
}

Task<Result<GenerationCall::ReadBody>> GenerationCall::read_elsewhere(IncomingCall& incoming) {
  co_return co_await read_on_pool(*settings_.pool, incoming.body, incoming.tenant,
                                  [codec = codec_](const std::string& body) { return read(*codec, body); });
}

Task<void> GenerationCall::refuse(const Error& error) {
  return sink_.refuse(error, codec_->error_body(error));
}

/// The request for the pipeline, and what it takes to write the answer.
Result<GenerationCall::Accepted> GenerationCall::accept(ReadBody read, IncomingCall incoming) {
  auto& call = read.call;
  if (!call) {
    if (!read.outline || !pipeline_.judged_elsewhere(read.outline->model))
      return fail(std::move(call).error());
    call = std::move(*read.outline);
  }
  if (call->unknown_fields > 0) settings_.ignored_fields.add(call->unknown_fields);
  streamed_ = call->stream;
  tells_usage_ = incoming.tells_usage;
  auto request = std::make_unique<InferenceRequest>(
      InferenceRequest{.id = record_.id,
                       .model = std::move(call->model),
                       .work = std::move(call->work),
                       .wire = {.protocol = call->protocol,
                                .stream = call->stream,
                                .bytes = std::move(incoming.body),
                                .query = std::move(incoming.query)},
                       .created = call->created.value_or(std::time(nullptr))});
  return Accepted{.request = std::move(request),
                  .context = {.deadline = incoming.deadline,
                              .tenant = std::move(incoming.tenant),
                              .priority = call->priority != 0 ? call->priority : incoming.priority,
                              .span = record_.span,
                              .caller = record_.caller},
                  .make_encoder = std::move(call->make_encoder)};
}

/// Runs up to the answer's beginning; false when an error has been sent.
Task<bool> GenerationCall::open(IncomingCall incoming) {
  const bool elsewhere =
      settings_.pool != nullptr && (is_long(incoming.body) || codec_->is_slow(incoming.body));
  Result<ReadBody> body = elsewhere ? co_await read_elsewhere(incoming) : read(*codec_, incoming.body);
  if (body && body->call && body->call->asks_nothing) {
    co_await answer_nothing(std::move(*body->call));
    co_return false;
  }
  auto accepted =
      body ? accept(std::move(*body), std::move(incoming)) : Result<Accepted>(fail(std::move(body).error()));
  if (!accepted) {
    co_await refuse(accepted.error());
    co_return false;
  }
  const Beginning beginning{.make_encoder = std::move(accepted->make_encoder),
                            .asked_model = accepted->request->model,
                            .created = accepted->request->created};
  auto asked = pipeline_.generate(std::move(accepted->request), std::move(accepted->context));
  Result<Pipeline::Answer> answer = fail(Error{});
  if (streamed_) {
    auto first = co_await first_of(std::move(asked), keep_alive(beginning));
    if (first.index() == 1 || commenting_) {
      record_.error = "the client does not take what it is sent";
      co_return false;
    }
    answer = std::move(std::get<0>(first));
  } else {
    answer = co_await std::move(asked);
  }
  if (!answer) {
    if (sink_.begun()) {
      co_await send_failure(answer.error());
    } else {
      co_await refuse(answer.error());
    }
    co_return false;
  }
  record_.model = answer->model;
  if (!sink_.begun()) sink_.tell_origin(*answer, streamed_);
  events_ = std::move(answer->events);
  encoder_ = make_encoder(beginning, std::move(answer->model));
  co_return true;
}

std::unique_ptr<protocol::AnswerEncoder> GenerationCall::make_encoder(const Beginning& beginning,
                                                                      std::string model) const {
  return beginning.make_encoder({.id = record_.id,
                                 .model = std::move(model),
                                 .created = beginning.created,
                                 .fingerprint = settings_.fingerprint,
                                 .tells_usage = tells_usage_,
                                 .began = began_,
                                 .now = std::chrono::steady_clock::now});
}

/// The answer to a request that only asks whether the model is there.
Task<void> GenerationCall::answer_nothing(protocol::DecodedCall call) {
  const auto card = pipeline_.card(call.model, record_.caller.get());
  if (!card) {
    co_await refuse(card.error());
    co_return;
  }
  record_.model = card->root.empty() ? card->name : card->root;
  std::string body;
  encoder_ = make_encoder({.make_encoder = std::move(call.make_encoder),
                           .asked_model = call.model,
                           .created = std::time(nullptr)},
                          record_.model);
  encoder_->end({}, body);
  if (co_await sink_.send(encoder_->content_type(), body)) {
    record_.status = 200;
    record_.complete = true;
  }
}

/// Sends keep-alive comments until the answer begins; returns the error of a client that is gone.
Task<Error> GenerationCall::keep_alive(const Beginning& beginning) {
  while (true) {
    co_await sleep_for(kKeepAlive);
    if (!encoder_) encoder_ = make_encoder(beginning, beginning.asked_model);
    if (encoder_->keep_alive().empty()) continue;
    if (!sink_.begun()) {
      if (auto begun = co_await begin_stream(); !begun) co_return begun.error();
    }
    commenting_ = true;
    if (auto written = co_await sink_.write(encoder_->keep_alive()); !written) co_return written.error();
    commenting_ = false;
  }
}

/// The last event of a stream that has begun.
Task<void> GenerationCall::send_failure(const Error& error) {
  std::string frames;
  record_.error = error.log_message();
  encoder_->failure(error, frames);
  co_await sink_.break_off(error, frames);
}

void GenerationCall::note(const EventBatch& batch) {
  if (record_.first_token == Duration::zero() && (!batch.events.empty() || batch.last())) {
    record_.first_token = std::chrono::steady_clock::now() - began_;
  }
  if (batch.usage) record_.usage = *batch.usage;
  if (const StreamOrigin* origin = events_->origin();
      origin != nullptr && origin->attempts != record_.attempts) {
    record_.endpoint = origin->endpoint;  // another endpoint may have continued the answer
    record_.attempts = origin->attempts;
  }
}

Task<void> GenerationCall::send_whole() {
  std::string body;
  std::size_t kept = encoder_->kept();
  while (true) {
    auto batch = co_await events_->next();
    if (!batch) {
      co_await refuse(batch.error());
      co_return;
    }
    note(*batch);
    if (batch->raw.empty()) {
      if (batch->answer) kept += size_of(*batch->answer);
      for (const TokenEvent& event : batch->events) kept += size_of(event);
      bool has_room = memory_.cover(kept);
      if (has_room && batch->answer && settings_.pool != nullptr && kept > kLongAnswer) {
        auto written = co_await write_elsewhere(std::move(*batch));
        if (!written) {
          co_await refuse(written.error());
          co_return;
        }
        body = std::move(*written);
        break;
      }
      if (has_room) {
        encoder_->events(*batch, body);
        if (batch->last()) encoder_->end(*batch->usage, body);
        has_room = memory_.cover(body.capacity() + kept);
      }
      if (!has_room) {
        events_.reset();  // the rest will not be read
        co_await refuse(http::no_answer_memory());
        co_return;
      }
    } else {
      if (body.empty()) {
        body = std::move(batch->raw);
      } else {
        body += batch->raw;
      }
    }
    if (batch->last()) break;
  }
  if (co_await sink_.send(encoder_->content_type(), body)) {
    record_.status = 200;
    record_.complete = true;
  }
}

/// The document of a long answer that is one batch. The job shares all that it uses: the call may end before.
Task<Result<std::string>> GenerationCall::write_elsewhere(EventBatch batch) {
  co_return co_await settings_.pool->run(
      [encoder = encoder_, batch = std::move(batch)] {
        std::string body;
        encoder->events(batch, body);
        encoder->end(*batch.usage, body);
        return body;
      },
      {.is_long = true});
}

Task<Result<void>> GenerationCall::begin_stream() {
  record_.status = 200;
  return sink_.begin(encoder_->content_type());
}

/// The next events; comments go out while there are none for long.
Task<Result<EventBatch>> GenerationCall::next_batch() {
  while (true) {
    auto first = co_await first_of(events_->next(), []() -> Task<void> { co_await sleep_for(kKeepAlive); }());
    if (first.index() == 0) co_return std::move(std::get<0>(first));
    if (encoder_->keep_alive().empty()) continue;
    if (!sink_.begun()) {
      if (auto begun = co_await begin_stream(); !begun) co_return fail(begun.error());
    }
    if (auto written = co_await sink_.write(encoder_->keep_alive()); !written)
      co_return fail(written.error());
  }
}

Task<void> GenerationCall::send_stream() {
  std::string frames;
  while (true) {
    auto batch = co_await next_batch();
    // Until the first byte has gone out, a failure can still have a status of its own.
    if (!batch && !sink_.begun()) {
      co_await refuse(batch.error());
      co_return;
    }
    if (!sink_.begun()) {
      if (!co_await begin_stream()) co_return;
    }
    frames.clear();
    if (!batch) {
      co_await send_failure(batch.error());
      co_return;
    }
    note(*batch);
    if (batch->raw.empty()) {
      encoder_->events(*batch, frames);
      if (const std::size_t kept = encoder_->kept(); kept > 0 && !memory_.cover(kept)) {
        events_.reset();  // the rest will not be read
        co_await send_failure(http::no_answer_memory());
        co_return;
      }
      if (batch->last()) encoder_->end(*batch->usage, frames);
    } else {
      frames = std::move(batch->raw);
      encoder_->passed(*batch);
    }
    if (auto written = co_await sink_.write(frames); !written) {
      record_.error = written.error().message;  // the client is gone, or too slow
      co_return;
    }
    if (batch->last()) {
      if (co_await sink_.finish()) record_.complete = true;
      co_return;
    }
  }
}

}  // namespace autoglm::gateway
