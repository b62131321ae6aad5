#pragma once

#include "gateway/front/call/answer_sink.h"
#include "gateway/front/grpc/rpc.h"

#include <string>
#include <utility>

namespace autoglm::gateway::grpc {

/// The answer to a call as messages of an Rpc; the encoder writes their prefixes. The status goes out when
/// the Rpc ends, by `outcome`; a whole answer with it, and counts towards `memory` until then.
class RpcSink final : public AnswerSink {
 public:
  RpcSink(Rpc& rpc, http::BodyMemory* memory) : rpc_(rpc), memory_(memory) {}

  void tell_origin(const Pipeline::Answer& answer, bool /*streamed*/) override {
    if (const StreamOrigin* origin = answer.events->origin()) rpc_.tell_origin(*origin);
  }
  Task<Result<void>> send(std::string_view /*content_type*/, std::string_view body) override {
    outcome_ = rpc_.write_last(body, memory_);
    co_return outcome_;
  }
  Task<void> refuse(const Error& error, std::string /*body*/) override {
    outcome_ = fail(error);
    co_return;
  }
  Task<Result<void>> begin(std::string_view /*content_type*/) override { return rpc_.begin(); }
  bool begun() const override { return rpc_.begun(); }
  Task<Result<void>> write(std::string_view bytes) override { return rpc_.write(bytes); }
  Task<Result<void>> finish() override { co_return Result<void>(); }
  Task<void> break_off(const Error& error, std::string_view /*frames*/) override {
    outcome_ = fail(error);
    co_return;
  }

  /// How the call went.
  Result<void> outcome() { return std::move(outcome_); }

 private:
  Rpc& rpc_;
  http::BodyMemory* memory_;
  Result<void> outcome_;
};

}  // namespace autoglm::gateway::grpc
