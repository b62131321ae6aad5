#include "gateway/endpoint/translated_stream.h"

#include "gateway/endpoint/passing_headers.h"
#include "gateway/endpoint/unaddressed.h"
#include "gateway/protocol/openai/frame_reader.h"
#include "http/retry_after.h"
#include "http/shared_limits.h"

#include <utility>

namespace autoglm::gateway {

namespace {

using protocol::openai::broken_answer;

constexpr std::size_t kMostBody = std::size_t{64} << 20U;
constexpr std::size_t kLongBody = std::size_t{256}
                                  << 10U;  // parsed on the pool, since other requests of the loop would wait

}  // namespace

TranslatedStream::TranslatedStream(std::unique_ptr<http::ClientResponse> response,
                                   std::unique_ptr<protocol::AnswerReader> reader, const HttpClients& clients)
    : response_(std::move(response)),
      head_(std::make_shared<const EndpointAnswer>(
          EndpointAnswer{.status = response_->status(), .headers = passing_headers(response_->headers())})),
      reader_(std::move(reader)),
      tells_tokens_(reader_->tells_tokens()),
      pool_(clients.pool()),
      memory_(clients.answer_memory()) {
  scope_.spawn(pump());
}

Task<Result<EventBatch>> TranslatedStream::next() {
  auto batch = co_await batches_.pop();
  if (!batch) co_return fail(stream_is_over());
  co_return std::move(*batch);
}

Task<void> TranslatedStream::pump() {
  auto reading = read_all();
  auto done = co_await std::move(reading);
  if (!done) {
    Error error = std::move(done).error();
    // An error that says to come later may have the time for that in the head.
    const bool later = error.code == ErrorCode::kResourceExhausted || error.code == ErrorCode::kUnavailable;
    if (later && !error.retry_after) error.retry_after = http::retry_after(response_->headers());
    co_await batches_.push(fail(std::move(error)));
  }
  batches_.close();
}

Result<void> TranslatedStream::has_room() {
  if (memory_.cover(buffer_.capacity() + reader_->kept())) return {};
  return fail(http::no_answer_memory());
}

/// A long document, on the pool, which shares what it uses: it may still be reading when this stream is gone.
Task<Result<void>> TranslatedStream::read_on_pool(EventBatch& batch) {
  auto document = std::make_shared<std::string>(std::move(buffer_));
  auto read = co_await pool_->run(
      [document, reader = reader_]() -> Result<EventBatch> {
        EventBatch said;
        if (auto taken = reader->read(*document, true, said); !taken) return fail(std::move(taken).error());
        return said;
      },
      {.is_long = true});
  if (!read) {  // the pool's queue is full
    buffer_ = std::move(*document);
    co_return reader_->read(buffer_, true, batch);
  }
  if (!*read) co_return fail(std::move(*read).error());
  batch = std::move(**read);
  co_return Result<void>();
}

Task<Result<void>> TranslatedStream::read_all() {
  while (true) {
    const auto count = co_await response_->read(buffer_);
    if (!count) co_return fail(unaddressed(count.error()));
    const bool over = *count == 0;
    if (buffer_.size() > kMostBody) co_return fail(protocol::openai::too_much_asked(kMostBody));
    if (auto room = has_room(); !room) co_return room;
    EventBatch batch;
    Result<void> read;
    if (over && reader_->reads_whole() && pool_ != nullptr && buffer_.size() >= kLongBody) {
      read = co_await read_on_pool(batch);
    } else {
      read = reader_->read(buffer_, over, batch);
    }
    const bool last = batch.last();
    // What came before a failure is valid, and goes out.
    if (last || !batch.events.empty()) co_await batches_.push(std::move(batch));
    if (!read) co_return read;
    if (last) break;
    if (over) co_return fail(broken_answer("the endpoint's answer ended too early"));
  }
  if (!response_->over()) {
    std::string rest;  // read to its end, the connection serves the next request
    (void)co_await response_->read(rest);
  }
  co_return Result<void>();
}

}  // namespace autoglm::gateway
