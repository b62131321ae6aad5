#include "gateway/endpoint/pass_through_stream.h"

#include "gateway/protocol/openai/frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace autoglm::gateway {

namespace {

namespace openai = protocol::openai;

constexpr std::size_t kMaxDocument = std::size_t{64} << 20U;
constexpr std::size_t kMaxFrame = std::size_t{4} << 20U;

Error broken(std::string message) {
  return Error{.code = ErrorCode::kBadGateway,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = std::move(message),
               .reason = "bad_stream"};
}

void append(EventBatch& to, EventBatch& from) {
  to.raw += from.raw;
  std::move(from.events.begin(), from.events.end(), std::back_inserter(to.events));
  from = {};
}

}  // namespace

PassThroughStream::PassThroughStream(std::unique_ptr<http::ClientResponse> response, Shape shape)
    : response_(std::move(response)), shape_(shape) {
  if (!shape_.stream) return;
  batches_.emplace(2U);
  reader_.spawn(pump());
}

Task<Result<EventBatch>> PassThroughStream::next() { return shape_.stream ? next_batch() : read_document(); }

Task<Result<EventBatch>> PassThroughStream::next_batch() {
  auto batch = co_await batches_->pop();
  if (!batch) co_return fail(broken("the endpoint's answer is over"));
  co_return std::move(*batch);
}

Task<void> PassThroughStream::pump() {
  const bool frames = shape_.protocol != WireBody::Protocol::kGenerate;
  // One task, so that there is one frame and not room for both.
  auto reading = frames ? read_stream() : read_unseen();
  auto done = co_await std::move(reading);
  if (!done) co_await batches_->push(fail(done.error()));
  batches_->close();
}

/// A whole answer. Given up in the middle it goes on where it was.
Task<Result<EventBatch>> PassThroughStream::read_document() {
  while (true) {
    const auto count = co_await response_->read(buffer_);
    if (!count) co_return fail(count.error());
    if (*count == 0) break;
    if (buffer_.size() > kMaxDocument) {
      Error error = broken(fmt::format("the endpoint answered with more than {} bytes", kMaxDocument));
      error.code = ErrorCode::kPayloadTooLarge;
      co_return fail(std::move(error));
    }
  }
  EventBatch batch;
  if (shape_.protocol != WireBody::Protocol::kGenerate) {
    auto usage = openai::read_answer(buffer_);
    if (!usage) co_return fail(std::move(usage).error());
    usage_ = *usage;
  }
  batch.raw = std::move(buffer_);
  batch.usage = usage_;
  co_return batch;
}

/// A stream that we do not look into: the end of the body is its end.
Task<Result<void>> PassThroughStream::read_unseen() {
  EventBatch batch;
  while (true) {
    auto count = co_await response_->read(batch.raw);
    if (!count) co_return fail(count.error());
    if (*count == 0) break;
    co_await batches_->push(std::exchange(batch, {}));
  }
  batch.usage = Usage{};
  co_await batches_->push(std::move(batch));
  co_return Result<void>();
}

Task<Result<void>> PassThroughStream::read_stream() {
  while (true) {
    auto count = co_await response_->read(buffer_);
    if (!count) co_return fail(count.error());
    if (*count == 0) co_return fail(broken("the endpoint's stream ended without [DONE]"));
    EventBatch batch;
    auto done = take_frames(batch);
    // What was whole before the garbage is as good as ever.
    if (!batch.raw.empty()) {
      if (done && *done) batch.usage = usage_;
      co_await batches_->push(std::move(batch));
    }
    if (!done) co_return fail(done.error());
    if (!*done) continue;
    std::string rest;  // read to its end, the connection serves the next request
    (void)co_await response_->read(rest);
    co_return Result<void>();
  }
}

/// Takes every whole frame out of the buffer; true behind the last one.
Result<bool> PassThroughStream::take_frames(EventBatch& batch) {
  std::size_t at = 0;
  Result<bool> done = false;
  while (done && !*done) {
    const std::string_view frame = openai::next_frame(buffer_, at);
    if (frame.empty()) break;
    at += frame.size();
    done = take_frame(frame, batch);
  }
  buffer_.erase(0, at);
  if (done && !*done && buffer_.size() > kMaxFrame)
    return fail(broken("the endpoint sent an event without end"));
  return done;
}

Result<bool> PassThroughStream::take_frame(std::string_view frame, EventBatch& batch) {
  const auto data = openai::frame_data(frame);
  if (!data) {  // a comment: the client gets our own
    usage_ = openai::read_usage_comment(frame).value_or(usage_);
    return false;
  }
  if (*data == "[DONE]") {
    append(batch, held_);
    batch.raw += frame;
    if (usage_.completion_tokens == 0) usage_.completion_tokens = tokens_;
    return true;
  }
  auto read = openai::read_frame(*data);
  if (!read) return fail(read.error());
  if (read->error) return fail(*read->error);
  if (read->usage) usage_ = *read->usage;
  // A resumed answer tells the end of what had ended once more; the client knows.
  const auto told = [](const TokenEvent& event) {
    return event.finish && event.tokens.empty() && event.text.empty();
  };
  if (shape_.resumed && read->has_tokens && std::ranges::all_of(read->events, told)) return false;
  for (TokenEvent& event : read->events) {
    if (!event.text.empty() || !event.reasoning.empty())
      ++tokens_;  // of servers that do not tell: a frame, a token
    held_.events.push_back(std::move(event));
  }
  held_.raw += frame;
  if (!shape_.whole_steps || read->has_tokens || read->events.empty()) append(batch, held_);
  return false;
}

}  // namespace autoglm::gateway
