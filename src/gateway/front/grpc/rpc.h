#pragma once

#include "base/result.h"
#include "gateway/front/call/generation_call.h"
#include "gateway/front/http/request_record.h"
#include "gateway/protocol/grpc/frames.h"
#include "http/server.h"
#include "http/shared_limits.h"
#include "inference/call_context.h"
#include "inference/events.h"
#include "runtime/deadline.h"
#include "runtime/task.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm::gateway::grpc {

/// A call of gRPC on a request of HTTP/2: messages in and out, and the status that ends it. Belongs to the
/// request, which must be read while it arrives. Errors of its tasks end the call; those of writes mean that
/// the client is gone.
class Rpc {
 public:
  static constexpr Duration kMessageTime = std::chrono::seconds(60);  ///< as for bodies of HTTP

  Rpc(http::Request& request, http::ResponseWriter& response, RequestRecord& record)
      : request_(request), response_(response), record_(record) {}

  /// Reads encodings and deadline from the head. Errors: kUnimplemented, kInvalidArgument.
  Result<void> open();
  Deadline deadline() const { return deadline_; }
  CallContext context() const;
  IncomingCall incoming(std::string message) const;
  CallRecord& record() { return record_; }
  /// Whether the caller may still call: keys and tokens end, and calls of many requests go on. Errors: those
  /// of `recognize`.
  Result<void> recognize_again();

  /// The next message, unpacked; none: the client has sent its last one. A task that is destroyed may lose
  /// one. Those before it are no longer counted. Errors: kInvalidArgument, kPayloadTooLarge, kUnavailable,
  /// kRequestTimeout when none begins for `patience`, or its rest takes longer than `rest`.
  Task<Result<std::optional<std::string>>> next(Duration patience, Duration rest = kMessageTime);
  /// Messages that have been read are used no more, and count no more.
  void let_go();
  /// The message of a call that has one.
  Task<Result<std::string>> only();
  template <class Message>
  Task<Result<Message>> only_as() {
    auto bytes = co_await only();
    if (!bytes) co_return fail(std::move(bytes).error());
    co_return protocol::grpc::parse<Message>(*bytes);
  }

  /// Adds the answer's origin to the answer's head; to be called before the first write.
  void tell_origin(const StreamOrigin& origin);
  /// Sends the head of the answer, unless it is out.
  Task<Result<void>> begin();
  bool begun() const { return response_.started(); }
  /// Whether a write has failed, or was given up: no more can be sent, since a message may be half out.
  bool broken() const { return writing_; }
  /// Sends messages with their prefixes.
  Task<Result<void>> write(std::string_view messages) {
    return begun() && !packs_ ? pass(messages) : write_first(messages);
  }
  Task<Result<void>> write(const google::protobuf::MessageLite& message);
  /// Sends them together with the status. They count towards `memory`, which may be null, until the client
  /// has them. Errors: kUnavailable, it is full.
  Result<void> write_last(std::string_view messages, http::BodyMemory* memory);
  Result<void> reply(const google::protobuf::MessageLite& message) {
    protocol::grpc::append_message(last_, message);
    return {};
  }

  /// Ends the call with the status of `outcome`.
  Task<void> end(Result<void> outcome);

 private:
  Task<Result<void>> pass(std::string_view messages);
  Task<Result<void>> write_first(std::string_view messages);
  Task<Result<bool>> fill(std::size_t least);
  Task<Result<std::string>> read_begun();
  Task<Result<std::string>> unpack(std::string packed);
  Task<std::string> packed(std::string_view messages);
  void note(const Error& error);
  template <class Add>
  static void tell_status(const Result<void>& outcome, Add add);

  http::Request& request_;
  http::ResponseWriter& response_;
  RequestRecord& record_;
  Deadline deadline_;
  std::string buffer_;  // what has been read of messages that are not whole yet
  http::BodyMemory::Share last_share_;
  std::string last_;
  bool unpacks_ = false;  // messages may come packed by gzip
  bool packs_ = false;    // and go out packed, since the client does that
  bool writing_ = false;  // a write is under way, or has failed: nothing may follow it
};

}  // namespace autoglm::gateway::grpc
