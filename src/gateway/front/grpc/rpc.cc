#include "gateway/front/grpc/rpc.h"

#include "base/utf8.h"
#include "gateway/front/grpc/timeout.h"
#include "gateway/front/http/caller.h"
#include "gateway/front/http/recognition.h"
#include "gateway/protocol/grpc/status_details.h"
#include "gateway/protocol/status.h"
#include "http/content_coding.h"
#include "http/request_body.h"
#include "runtime/race.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace autoglm::gateway::grpc {

namespace {

using protocol::grpc::kPrefix;

constexpr std::string_view kType = "application/grpc";
constexpr std::string_view kEncodings = "identity,gzip";
constexpr std::size_t kWorthPacking = 256;      // gzip's own head and tail have 18 bytes
constexpr int kStepsAtOnce = 8;                 // about a millisecond
constexpr std::size_t kMostMessageText = 4096;  // of a status, which clients' limits of headers bound

Error wrong(ErrorCode code, std::string message, std::string reason) {
  return {
      .code = code, .origin = Origin::kClient, .message = std::move(message), .reason = std::move(reason)};
}

Error too_large(std::size_t most) {
  return wrong(ErrorCode::kPayloadTooLarge,
               fmt::format("a message is larger than this server takes ({} bytes, server.max_body)", most),
               "message_too_large");
}

Error no_memory() {
  return {
      .code = ErrorCode::kUnavailable,
      .retry = Retry::kLater,
      .message = "other requests fill the memory there is for them (server.body_memory); try again shortly",
      .reason = "body_memory",
      .retry_after = std::chrono::seconds(1)};
}

}  // namespace

Result<void> Rpc::recognize_again() {
  if (record_.recognizers == nullptr) return {};
  const CallerPtr before = record_.caller;
  auto refusal = recognize(*record_.recognizers, request_, record_, std::chrono::system_clock::now());
  if (!refusal) return {};
  record_.caller = before;  // whose call it was, for the log
  return fail(std::move(*refusal));
}

Result<void> Rpc::open() {
  if (const auto encoding = request_.headers.find("grpc-encoding")) {
    unpacks_ = packs_ = *encoding == "gzip";
    if (!unpacks_ && *encoding != "identity") {
      response_.add_header("grpc-accept-encoding", kEncodings);
      return fail(wrong(ErrorCode::kUnimplemented,
                        fmt::format("this server unpacks no \"{}\": send messages by one of {}",
                                    excerpt(*encoding, 32), kEncodings),
                        "bad_encoding"));
    }
  }
  deadline_ = deadline_of(request_);
  if (const auto text = request_.headers.find("grpc-timeout")) {
    const auto timeout = parse_timeout(*text);
    if (!timeout) return fail(timeout.error());
    deadline_ = earlier(deadline_, Deadline::after(*timeout));
  }
  return {};
}

CallContext Rpc::context() const {
  CallContext context = context_of(request_, record_);
  context.deadline = deadline_;
  return context;
}

IncomingCall Rpc::incoming(std::string message) const {
  return {.body = std::move(message),
          .deadline = deadline_,
          .tenant = tenant_of(request_, record_),
          .priority = record_.priority};
}

/// Reads until the buffer has `least` bytes. False: the body ends before.
Task<Result<bool>> Rpc::fill(std::size_t least) {
  while (buffer_.size() < least) {
    const auto more = co_await request_.arriving->read_some(buffer_);
    if (!more) co_return fail(no_memory());
    if (!request_.arriving->keep(buffer_.capacity())) co_return fail(no_memory());
    if (!*more) co_return false;
  }
  co_return true;
}

/// The message whose first byte is there.
Task<Result<std::string>> Rpc::read_begun() {
  const auto cut = [] {
    return fail(wrong(ErrorCode::kInvalidArgument, "the body ends inside of a message", "bad_message"));
  };
  const auto begun = co_await fill(kPrefix);
  if (!begun) co_return fail(begun.error());
  if (!*begun) co_return cut();
  const auto prefix = protocol::grpc::read_prefix(buffer_);
  if (!prefix) co_return fail(prefix.error());
  const std::size_t most = request_.arriving->most();
  if (prefix->size > most) co_return fail(too_large(most));
  if (prefix->packed && !unpacks_) {
    co_return fail(wrong(ErrorCode::kInvalidArgument,
                         "a message is packed, but the header grpc-encoding does not say by what",
                         "bad_message"));
  }
  const auto whole = co_await fill(kPrefix + prefix->size);
  if (!whole) co_return fail(whole.error());
  if (!*whole) co_return cut();
  std::string message;
  if (buffer_.size() == kPrefix + prefix->size) {
    message = std::exchange(buffer_, {}).erase(0, kPrefix);
  } else {
    message = buffer_.substr(kPrefix, prefix->size);
    buffer_.erase(0, kPrefix + prefix->size);
    if (buffer_.size() < buffer_.capacity() / 4) buffer_.shrink_to_fit();
  }
  if (!prefix->packed) co_return message;
  co_return co_await unpack(std::move(message));
}

void Rpc::let_go() {
  request_.arriving->keep(buffer_.capacity());  // less than before, which is never refused
}

Task<Result<std::optional<std::string>>> Rpc::next(Duration patience, Duration rest) {
  let_go();
  const auto late = [](const Error& error, std::string message) {
    return error.code != ErrorCode::kDeadlineExceeded
               ? fail(error)
               : fail(wrong(ErrorCode::kRequestTimeout, std::move(message), "no_message"));
  };
  const auto begun = co_await with_deadline(Deadline::after(patience), fill(1), "the next message");
  if (!begun) co_return late(begun.error(), fmt::format("no message came for {} s", to_seconds(patience)));
  if (!*begun) co_return std::nullopt;
  auto message = co_await with_deadline(Deadline::after(rest), read_begun(), "the message");
  if (!message)
    co_return late(message.error(), fmt::format("a message did not come whole in {} s", to_seconds(rest)));
  co_return std::move(*message);
}

Task<Result<std::string>> Rpc::only() {
  auto message = co_await next(kMessageTime);
  if (!message) co_return fail(std::move(message).error());
  if (*message) co_return std::move(**message);
  co_return fail(wrong(ErrorCode::kInvalidArgument, "the call has no message: send one", "no_message"));
}

Task<Result<std::string>> Rpc::unpack(std::string packed) {
  const auto decoder = http::Decoder::create(http::ContentCoding::kGzip);
  const std::size_t most = request_.arriving->most();
  std::string message;
  std::string_view rest = packed;
  for (int step = 1;; ++step) {
    const std::size_t before = message.size();
    const std::size_t left = rest.size();
    if (!decoder->take(rest, message))
      co_return fail(wrong(ErrorCode::kInvalidArgument, "a message is not packed by gzip", "bad_message"));
    if (message.size() > most) co_return fail(too_large(most));
    if (!request_.arriving->keep(buffer_.capacity() + packed.capacity() + message.capacity()))
      co_return fail(no_memory());
    if (message.size() == before && rest.size() == left) break;  // the decoder wants more input, or is done
    if (step % kStepsAtOnce == 0) co_await yield_to_loop();
  }
  if (!decoder->done() || !rest.empty())
    co_return fail(wrong(ErrorCode::kInvalidArgument, "a packed message is cut", "bad_message"));
  co_return message;
}

void Rpc::tell_origin(const StreamOrigin& origin) {
  response_.add_header("x-autoglm-endpoint", origin.endpoint);
  response_.add_header("x-autoglm-attempts", std::to_string(origin.attempts));
  if (!origin.fallback.empty()) response_.add_header("x-autoglm-fallback", origin.fallback);
}

Task<Result<void>> Rpc::begin() {
  if (response_.started()) co_return Result<void>();
  response_.add_header("grpc-encoding", packs_ ? "gzip" : "identity");
  response_.add_header("grpc-accept-encoding", kEncodings);
  co_return co_await response_.start(200, kType);
}

/// The same messages, those packed that are worth it.
Task<std::string> Rpc::packed(std::string_view messages) {
  std::string out;
  while (messages.size() >= kPrefix) {
    const auto prefix = protocol::grpc::read_prefix(messages);
    const std::string_view message = messages.substr(kPrefix, prefix->size);
    std::optional<std::string> shorter;
    if (message.size() >= kWorthPacking) shorter = co_await http::encode(http::ContentCoding::kGzip, message);
    const std::string_view sent = shorter ? std::string_view(*shorter) : message;
    protocol::grpc::append_prefix(
        out, {.packed = shorter.has_value(), .size = static_cast<std::uint32_t>(sent.size())});
    out += sent;
    messages.remove_prefix(kPrefix + message.size());
  }
  co_return out;
}

/// One frame for each batch of a stream.
Task<Result<void>> Rpc::pass(std::string_view messages) {
  if (writing_) co_return fail(ErrorCode::kCancelled, "the client does not take what it is sent");
  writing_ = true;
  auto written = co_await response_.write(messages);
  writing_ = !written;
  co_return written;
}

Task<Result<void>> Rpc::write_first(std::string_view messages) {
  if (auto begun = co_await begin(); !begun || messages.empty()) co_return begun;
  if (!packs_) co_return co_await pass(messages);
  const std::string shorter = co_await packed(messages);
  co_return co_await pass(shorter);
}

Task<Result<void>> Rpc::write(const google::protobuf::MessageLite& message) {
  std::string bytes;
  protocol::grpc::append_message(bytes, message);
  co_return co_await write(bytes);
}

Result<void> Rpc::write_last(std::string_view messages, http::BodyMemory* memory) {
  last_share_ = http::BodyMemory::Share(memory);
  if (!last_share_.cover(messages.size())) return fail(http::no_answer_memory());
  last_ = messages;
  return {};
}

void Rpc::note(const Error& error) {
  record_.status = protocol::http_status(error.code);
  record_.error = error.log_message();
  record_.complete = false;
}

template <class Add>
void Rpc::tell_status(const Result<void>& outcome, Add add) {
  add("grpc-status", outcome ? "0" : std::to_string(protocol::grpc_status(outcome.error().code)));
  if (outcome) return;
  add("grpc-message", protocol::grpc::percent_encoded(excerpt(outcome.error().message, kMostMessageText)));
  if (const std::string details = protocol::grpc::status_details(outcome.error());
      !details.empty() && details.size() <= 2 * kMostMessageText)
    add("grpc-status-details-bin", details);
}

Task<void> Rpc::end(Result<void> outcome) {
  if (!outcome) note(outcome.error());
  if (writing_) co_return;  // a message is half out, or the client takes no more: the stream is reset
  if (!outcome && !response_.started()) {
    tell_status(outcome,
                [this](std::string_view name, std::string_view value) { response_.add_header(name, value); });
    co_await response_.send(200, kType, "");
    co_return;
  }
  if (!co_await begin()) co_return;
  if (!outcome) last_.clear();
  if (packs_ && !last_.empty()) last_ = co_await packed(last_);
  tell_status(outcome,
              [this](std::string_view name, std::string_view value) { response_.add_trailer(name, value); });
  if (outcome) record_.status = 200;
  const auto finished = co_await response_.finish_with(last_);
  if (outcome) record_.complete = finished.has_value();
}

}  // namespace autoglm::gateway::grpc
