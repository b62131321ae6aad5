#include "http/grpc_call.h"

#include "base/utf8.h"
#include "http/message.h"
#include "runtime/race.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

namespace autoglm::http {

namespace {

constexpr std::size_t kMessagePrefix = 5;  // whether it is packed, and its size, the highest byte first
constexpr std::size_t kMostShown = 300;

constexpr std::array<ErrorCode, 17> kCodes = {
    ErrorCode::kInternal,           // OK, which is no error
    ErrorCode::kCancelled,          // CANCELLED
    ErrorCode::kUnavailable,        // UNKNOWN
    ErrorCode::kInvalidArgument,    // INVALID_ARGUMENT
    ErrorCode::kDeadlineExceeded,   // DEADLINE_EXCEEDED
    ErrorCode::kNotFound,           // NOT_FOUND
    ErrorCode::kInvalidArgument,    // ALREADY_EXISTS
    ErrorCode::kPermissionDenied,   // PERMISSION_DENIED
    ErrorCode::kResourceExhausted,  // RESOURCE_EXHAUSTED
    ErrorCode::kInvalidArgument,    // FAILED_PRECONDITION
    ErrorCode::kUnavailable,        // ABORTED
    ErrorCode::kInvalidArgument,    // OUT_OF_RANGE
    ErrorCode::kUnimplemented,      // UNIMPLEMENTED
    ErrorCode::kBadGateway,         // INTERNAL
    ErrorCode::kUnavailable,        // UNAVAILABLE
    ErrorCode::kDataLoss,           // DATA_LOSS
    ErrorCode::kUnauthenticated,    // UNAUTHENTICATED
};
constexpr int kStatusUnimplemented = 12;

Error not_grpc(std::string message) {
  return Error{.code = ErrorCode::kBadGateway,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = std::move(message),
               .reason = std::string(kNotGrpc)};
}

std::optional<std::string_view> value_of(const Fields& fields, std::string_view name) {
  const auto found = std::ranges::find(fields, name, &Fields::value_type::first);
  return found == fields.end() ? std::nullopt : std::optional<std::string_view>(found->second);
}

/// As the protocol has it: up to eight digits and a unit.
std::string timeout_text(Duration timeout) {
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  if (milliseconds < 100'000'000) return fmt::format("{}m", std::max<std::int64_t>(milliseconds, 1));
  return fmt::format("{}S", std::min<std::int64_t>(milliseconds / 1000, 99'999'999));
}

}  // namespace

Error grpc_error(int status, std::string_view message) {
  const std::string text = excerpt(percent_decode(message).value_or(std::string(message)), kMostShown);
  Error error{.code = status > 0 && static_cast<std::size_t>(status) < kCodes.size()
                          ? kCodes[static_cast<std::size_t>(status)]
                          : ErrorCode::kUnavailable,
              .origin = Origin::kEndpoint,
              .retry = Retry::kElsewhere,
              .message = fmt::format("the server answers with gRPC's status {}{}{}", status,
                                     text.empty() ? "" : ": ", text)};
  if (status == kStatusUnimplemented) error.reason = kNotGrpc;
  return error;
}

Result<GrpcCall> GrpcCall::begin(Http2Client& connection, const Method& method, std::size_t largest_message) {
  Http2Head head{
      .scheme = method.tls ? "https" : "http",
      .authority = method.authority,
      .path = method.path,
      .headers = {{"te", "trailers"}, {"content-type", "application/grpc"}, {"user-agent", "open-autoglm"}}};
  if (method.timeout != Duration::max())
    head.headers.emplace_back("grpc-timeout", timeout_text(method.timeout));
  head.headers.insert(head.headers.end(), method.metadata.begin(), method.metadata.end());
  auto call = connection.call(head);
  if (!call) return fail(std::move(call).error());
  return GrpcCall(std::move(*call), largest_message);
}

Task<Result<void>> GrpcCall::send(std::string_view message, bool last) {
  std::string framed;
  framed.reserve(kMessagePrefix + message.size());
  framed += '\0';
  for (int shift = 24; shift >= 0; shift -= 8) framed += static_cast<char>(message.size() >> shift & 0xffU);
  framed += message;
  co_return co_await call_->write(framed, last);
}

Task<Result<std::optional<std::string>>> GrpcCall::receive() {
  while (true) {
    auto message = take_message();
    if (!message || *message) co_return message;
    if (!head_checked_) {
      if (auto answered = co_await call_->answered(); !answered) co_return fail(std::move(answered).error());
      if (auto checked = check_head(); !checked) co_return fail(std::move(checked).error());
      head_checked_ = true;
    }
    const auto count = co_await call_->read(arrived_);
    if (!count) co_return fail(count.error());
    if (*count > 0) continue;
    if (auto status = check_status(); !status) co_return fail(std::move(status).error());
    if (taken_ < arrived_.size()) co_return fail(not_grpc("the server's last message is cut off"));
    co_return std::optional<std::string>();
  }
}

Result<std::optional<std::string>> GrpcCall::take_message() {
  const std::string_view rest = std::string_view(arrived_).substr(taken_);
  if (rest.size() < kMessagePrefix) return std::nullopt;
  if (rest[0] != 0) return fail(not_grpc("the server sends a packed message, which was not asked for"));
  std::size_t size = 0;
  for (std::size_t i = 1; i < kMessagePrefix; ++i) size = size << 8U | static_cast<unsigned char>(rest[i]);
  if (size > largest_message_) {
    Error error = not_grpc(fmt::format("the server sends a message of more than {} bytes", largest_message_));
    error.reason = {};
    return fail(std::move(error));
  }
  if (rest.size() < kMessagePrefix + size) return std::nullopt;
  std::string message(rest.substr(kMessagePrefix, size));
  taken_ += kMessagePrefix + size;
  if (taken_ > arrived_.size() / 2) {  // many small messages are not moved one by one
    arrived_.erase(0, taken_);
    taken_ = 0;
  }
  return message;
}

Result<void> GrpcCall::check_head() const {
  if (call_->status() == 200 &&
      value_of(call_->headers(), "content-type").value_or("").starts_with("application/grpc"))
    return {};
  return fail(
      not_grpc(fmt::format("the server does not answer in gRPC, but with HTTP status {}", call_->status())));
}

Result<void> GrpcCall::check_status() const {
  // A call without messages has its status in the head.
  auto status = value_of(call_->trailers(), "grpc-status");
  const Fields& fields = status ? call_->trailers() : call_->headers();
  if (!status) status = value_of(fields, "grpc-status");
  if (!status) return fail(not_grpc("the server ends the call without a status"));
  if (*status == "0") return {};
  int number = -1;
  std::from_chars(status->data(), status->data() + status->size(), number);
  return fail(grpc_error(number, value_of(fields, "grpc-message").value_or("")));
}

Task<Result<std::string>> grpc_ask(Http2Client& connection, GrpcCall::Method method, std::string message,
                                   Deadline deadline) {
  if (method.timeout == Duration::max() && !deadline.is_never()) method.timeout = deadline.remaining();
  auto call = GrpcCall::begin(connection, method);
  if (!call) co_return fail(std::move(call).error());
  co_return co_await with_deadline(
      deadline,
      [](GrpcCall& asked, std::string request) -> Task<Result<std::string>> {
        if (auto sent = co_await asked.send(request, true); !sent) co_return fail(std::move(sent).error());
        auto answer = co_await asked.receive();
        if (!answer) co_return fail(std::move(answer).error());
        if (!*answer) co_return fail(not_grpc("the server ends the call without an answer"));
        if (auto end = co_await asked.receive(); !end) co_return fail(std::move(end).error());
        co_return std::move(**answer);
      }(*call, std::move(message)),
      "the answer of a gRPC server");
}

}  // namespace autoglm::http
