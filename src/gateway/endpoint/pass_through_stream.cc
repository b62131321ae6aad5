#include "gateway/endpoint/pass_through_stream.h"

#include "gateway/endpoint/passing_headers.h"
#include "gateway/endpoint/unaddressed.h"
#include "gateway/protocol/openai/frame.h"
#include "http/retry_after.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace autoglm::gateway {

namespace {

namespace openai = protocol::openai;

constexpr std::size_t kMaxDocument = std::size_t{64} << 20U;
constexpr std::size_t kMaxFrame = std::size_t{4} << 20U;
// Delimiters of vLLM's own stream; JSON that is written in one line contains neither.
constexpr std::string_view kDelimiters("\n\0", 2);
constexpr std::string_view kBlanks(" \t\r\n\0", 5);
constexpr std::size_t kLongDocument =
    std::size_t{256} << 10U;  // parsed on the pool, since other requests of the loop would wait

/// The usage in a whole answer. Errors: what the server says instead of an answer.
Result<Usage> look_into(WireBody::Protocol protocol, const std::string& document) {
  using enum WireBody::Protocol;
  if (protocol == kPassed) return Usage{};
  if (protocol == kEmbeddings || protocol == kRerank || protocol == kScore)
    return openai::read_listed(document);
  if (protocol != WireBody::Protocol::kGenerate) return openai::read_answer(document);
  if (auto read = openai::read_generated(document); !read) return fail(std::move(read).error());
  return Usage{};
}

}  // namespace

PassThroughStream::PassThroughStream(std::unique_ptr<http::ClientResponse> response, Shape shape,
                                     const HttpClients& clients)
    : response_(std::move(response)),
      head_(std::make_shared<const EndpointAnswer>(
          EndpointAnswer{.status = response_->status(),
                         .content_type = std::string(response_->headers().find("content-type").value_or("")),
                         .headers = passing_headers(response_->headers())})),
      shape_(shape),
      pool_(clients.pool()),
      memory_(clients.answer_memory()),
      frames_(shape.frames) {
  if (!shape_.stream) return;
  batches_.emplace(2U);
  reader_.spawn(pump());
}

Task<Result<EventBatch>> PassThroughStream::next() { return shape_.stream ? next_batch() : read_document(); }

Task<Result<EventBatch>> PassThroughStream::next_batch() {
  auto batch = co_await batches_->pop();
  if (!batch) co_return fail(openai::broken_answer("the endpoint's answer is over"));
  co_return std::move(*batch);
}

/// An error that says to come later may have the time for that in the head.
Error PassThroughStream::told(Error error) const {
  const bool later = error.code == ErrorCode::kResourceExhausted || error.code == ErrorCode::kUnavailable;
  if (later && !error.retry_after) error.retry_after = http::retry_after(response_->headers());
  return error;
}

Task<void> PassThroughStream::pump() {
  const bool frames =
      shape_.protocol == WireBody::Protocol::kCompletions || shape_.protocol == WireBody::Protocol::kChat;
  const bool unseen = shape_.protocol == WireBody::Protocol::kPassed;
  // One task for all three, so that this coroutine's frame has room for one of them only.
  auto reading = frames ? read_stream() : unseen ? read_unseen() : read_objects();
  auto done = co_await std::move(reading);
  if (!done) co_await batches_->push(fail(done.error()));
  batches_->close();
}

/// Reads a whole answer. When it is given up in the middle, the next call continues there.
Task<Result<EventBatch>> PassThroughStream::read_document() {
  if (over_) co_return fail(stream_is_over());
  while (!response_->over()) {
    const auto count = co_await response_->read(buffer_);
    if (!count) co_return fail(unaddressed(count.error()));
    if (*count == 0) break;
    if (buffer_.size() > kMaxDocument) co_return fail(openai::too_much_asked(kMaxDocument));
    if (auto room = has_room(); !room) co_return fail(std::move(room).error());
  }
  EventBatch batch;
  if (pool_ == nullptr || (buffer_.size() < kLongDocument && reader_.empty() && !said_)) {
    said_ = look_into(shape_.protocol, buffer_);
  } else if (reader_.empty() && !said_) {
    reader_.spawn(look_into_document());
  }
  if (!said_) co_await looked_into_.wait();
  if (!*said_) co_return fail(told(said_->error()));
  over_ = true;
  batch.raw = std::move(buffer_);
  batch.usage = **said_;
  co_return batch;
}

/// On the pool, which shares the document: it may still be reading it when this stream is gone.
Task<void> PassThroughStream::look_into_document() {
  auto document = std::make_shared<std::string>(std::move(buffer_));
  auto said = co_await pool_->run(
      [document, protocol = shape_.protocol] { return look_into(protocol, *document); }, {.is_long = true});
  buffer_ = std::move(*document);
  said_ = said ? std::move(*said) : look_into(shape_.protocol, buffer_);  // the pool's queue is full
  looked_into_.set();
}

/// Counts the memory held, by capacity, since it grows by doubling.
Result<void> PassThroughStream::has_room() {
  const EventBatch& held = frames_.held();
  const std::size_t events = held.events.capacity() * sizeof(TokenEvent);
  if (memory_.cover(buffer_.capacity() + held.raw.capacity() + events)) return {};
  return fail(http::no_answer_memory());
}

/// Reads a stream without parsing it: the end of the body is its end.
Task<Result<void>> PassThroughStream::read_unseen() {
  EventBatch batch;
  while (true) {
    auto count = co_await response_->read(batch.raw);
    if (!count) co_return fail(unaddressed(count.error()));
    if (*count == 0) break;
    co_await batches_->push(std::exchange(batch, {}));
  }
  batch.usage = Usage{};
  co_await batches_->push(std::move(batch));
  co_return Result<void>();
}

/// Reads vLLM's own stream: an object for each step, followed by a delimiter. The end of the body is its end.
Task<Result<void>> PassThroughStream::read_objects() {
  for (bool any = false, over = false; !over;) {
    auto count = co_await response_->read(buffer_);
    if (!count) co_return fail(unaddressed(count.error()));
    over = *count == 0;
    if (auto room = has_room(); !room) co_return room;
    EventBatch batch;
    const auto taken = take_objects(over, batch);
    any |= batch.raw.find_first_not_of(kBlanks) != std::string::npos;
    if (over && taken && any) batch.usage = Usage{};
    if (any && (!batch.raw.empty() || batch.usage)) co_await batches_->push(std::move(batch));
    if (!taken) co_return fail(taken.error());
    if (over && !any) co_return fail(openai::broken_answer("the endpoint's stream ended without an answer"));
  }
  co_return Result<void>();
}

/// Takes the whole objects out of the buffer (at the end of the body all of it), up to the first that is
/// invalid.
Result<void> PassThroughStream::take_objects(bool over, EventBatch& batch) {
  const std::size_t last = std::string_view(buffer_).substr(searched_).find_last_of(kDelimiters);
  const std::size_t ended = last == std::string_view::npos ? 0 : searched_ + last + 1;
  const std::string_view whole = std::string_view(buffer_).substr(0, over ? buffer_.size() : ended);
  Result<void> outcome;
  std::size_t good = 0;
  while (outcome && good < whole.size()) {
    const std::size_t end = std::min(whole.find_first_of(kDelimiters, good), whole.size() - 1) + 1;
    const std::string_view object = whole.substr(good, end - good);
    if (object.find_first_not_of(kBlanks) != std::string_view::npos) {
      // Its delimiter may be a NUL.
      outcome = openai::read_generated(object.substr(0, object.find_last_not_of(kBlanks) + 1));
    }
    if (outcome) good = end;
  }
  batch.raw.assign(buffer_, 0, good);
  buffer_.erase(0, good);
  searched_ = buffer_.size();
  if (outcome && buffer_.size() > kMaxFrame)
    return fail(openai::broken_answer("the endpoint sent an event without end"));
  return outcome;
}

Task<Result<void>> PassThroughStream::read_stream() {
  while (true) {
    auto count = co_await response_->read(buffer_);
    if (!count) co_return fail(unaddressed(count.error()));
    const bool over = *count == 0;
    std::optional<Error> cut;
    if (over) {
      cut = told(frames_.ended(buffer_));
      buffer_ += "\n\n";  // the last event may lack the empty line behind it
    }
    if (auto room = has_room(); !room) co_return room;
    EventBatch batch;
    auto done = frames_.take(buffer_, batch);
    // Frames before the garbage are valid, and go out.
    if (!batch.raw.empty()) {
      if (done && *done) batch.usage = frames_.usage();
      co_await batches_->push(std::move(batch));
    }
    if (over && (done ? !*done : done.error().reason == "bad_stream")) co_return fail(*cut);
    if (!done) co_return fail(told(std::move(done).error()));
    if (!*done) continue;
    if (over) co_return Result<void>();
    std::string rest;  // read to its end, the connection serves the next request
    (void)co_await response_->read(rest);
    co_return Result<void>();
  }
}

}  // namespace autoglm::gateway
