#pragma once

#include "gateway/pipeline.h"
#include "runtime/task.h"

#include <string_view>

namespace autoglm::gateway {

/// Where the answer to a call goes: a response of HTTP, a call of gRPC. Belongs to the call's loop. A call
/// ends in one of three ways: `send`, `refuse`, or `begin`, `write` … and `finish` or `break_off`. Each waits
/// until the transport has taken the bytes (this is the back-pressure). An error means that the client is
/// gone.
class AnswerSink {
 public:
  virtual ~AnswerSink() = default;

  /// Notes what answers, to be told at the answer's beginning.
  virtual void tell_origin(const Pipeline::Answer& answer, bool streamed) = 0;

  virtual Task<Result<void>> send(std::string_view content_type, std::string_view body) = 0;
  /// `error` in place of an answer that has not begun; `body` says it in the call's protocol.
  virtual Task<void> refuse(const Error& error, std::string body) = 0;

  virtual Task<Result<void>> begin(std::string_view content_type) = 0;
  virtual bool begun() const = 0;
  virtual Task<Result<void>> write(std::string_view bytes) = 0;
  virtual Task<Result<void>> finish() = 0;
  /// Ends an answer that has begun and cannot go on: `frames` say `error` in the call's protocol.
  virtual Task<void> break_off(const Error& /*error*/, std::string_view frames) {
    if (co_await write(frames)) co_await finish();
  }
};

}  // namespace autoglm::gateway
