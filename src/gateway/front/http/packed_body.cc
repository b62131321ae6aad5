#include "gateway/front/http/packed_body.h"

#include "http/content_coding.h"
#include "runtime/event_loop.h"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr int kStepsAtOnce = 8;  // about a millisecond

Error not_taken(ErrorCode code, std::string message) {
  return {.code = code, .origin = Origin::kClient, .message = std::move(message), .reason = "bad_encoding"};
}

}  // namespace

Task<Result<void>> unpack_body(http::Request& request, std::size_t most, http::BodyMemory::Share& memory) {
  const auto named = request.headers.find("content-encoding");
  const auto coding = http::coding_of(named.value_or(""));
  if (!coding || request.headers.count("content-encoding") > 1) {
    co_return fail(
        not_taken(ErrorCode::kUnsupportedMedia,
                  "the body's Content-Encoding is unknown here; send it as it is, or packed by one of "
                  "gzip, deflate, br, zstd"));
  }
  const auto decoder = http::Decoder::create(*coding);
  if (!decoder) co_return Result<void>();
  std::string body;
  std::string_view rest = request.body;
  for (int step = 1;; ++step) {
    const std::size_t before = body.size();
    const std::size_t left = rest.size();
    if (!decoder->take(rest, body))
      co_return fail(
          not_taken(ErrorCode::kInvalidArgument, "the body is not packed as its Content-Encoding says"));
    if (body.size() > most) {
      co_return fail(not_taken(ErrorCode::kPayloadTooLarge,
                               fmt::format("the body is larger than {} bytes when it is unpacked", most)));
    }
    if (!memory.cover(body.capacity())) {
      co_return fail(Error{.code = ErrorCode::kUnavailable,
                           .retry = Retry::kLater,
                           .message =
                               "other requests fill the memory there is for them (server.body_memory); try "
                               "again shortly",
                           .reason = "body_memory",
                           .retry_after = std::chrono::seconds(1)});
    }
    if (body.size() == before && rest.size() == left) break;  // the decoder wants more input, or is done
    if (step % kStepsAtOnce == 0) co_await yield_to_loop();
  }
  if (!decoder->done() || !rest.empty())
    co_return fail(not_taken(ErrorCode::kInvalidArgument, "the packed body ends before it is whole"));
  request.body = std::move(body);
  co_return Result<void>();
}

}  // namespace autoglm::gateway
