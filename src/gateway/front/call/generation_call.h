#pragma once

#include "gateway/front/call/answer_sink.h"
#include "gateway/front/call/call_record.h"
#include "gateway/pipeline.h"
#include "gateway/protocol/codec.h"
#include "http/shared_limits.h"
#include "observe/metrics/registry.h"
#include "runtime/blocking_pool.h"
#include "runtime/deadline.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace autoglm::gateway {

/// What all calls that generate text share.
struct GenerationSettings {
  observe::Counter& ignored_fields;                           ///< counts unknown members of bodies
  std::shared_ptr<http::BodyMemory> answer_memory = nullptr;  ///< bounds whole answers; null: nothing does
  BlockingPool* pool = nullptr;  ///< reads long bodies; null: the call's loop reads them
  std::string fingerprint = {};  ///< what answers say of the program that made them
};

/// A call as its transport brings it.
struct IncomingCall {
  std::string body;
  std::string query = {};  ///< of the address that was called, without '?'
  Deadline deadline = Deadline::never();
  std::string tenant = {};
  std::uint8_t priority = 0;  ///< where the body does not say it
  bool tells_usage = false;   ///< see AnswerFacts
};

/// One generation, from the body's bytes to the last byte of its answer, whatever the transport: reads the
/// body, sends the request through the pipeline, and writes the answer to the sink. All that it is given must
/// outlive it. Destroying the task of `run` cancels the work.
class GenerationCall {
 public:
  GenerationCall(const Pipeline& pipeline, const GenerationSettings& settings, AnswerSink& sink,
                 CallRecord& record);

  Task<void> run(std::shared_ptr<const protocol::Codec> codec, IncomingCall incoming);

 private:
  struct Accepted {
    std::unique_ptr<InferenceRequest> request;
    CallContext context;
    protocol::DecodedCall::MakeEncoder make_encoder;
  };
  /// What the first bytes of an answer need.
  struct Beginning {
    protocol::DecodedCall::MakeEncoder make_encoder;
    std::string asked_model;
    std::int64_t created;
  };
  /// A body as its codec reads it; where the codec refuses it, the outline that an endpoint may judge.
  struct ReadBody {
    Result<protocol::DecodedCall> call;
    std::optional<protocol::DecodedCall> outline;
  };
  static ReadBody read(const protocol::Codec& codec, const std::string& body);
  Result<Accepted> accept(ReadBody read, IncomingCall incoming);
  // Not inlined: their frames are freed when the answer begins, and would else live as long as the answer.
  [[gnu::noinline]] Task<Result<ReadBody>> read_elsewhere(IncomingCall& incoming);
  [[gnu::noinline]] Task<bool> open(IncomingCall incoming);
  std::unique_ptr<protocol::AnswerEncoder> make_encoder(const Beginning& beginning, std::string model) const;
  // Rare, as are the requests for it.
  [[gnu::noinline]] Task<void> answer_nothing(protocol::DecodedCall call);
  Task<Error> keep_alive(const Beginning& beginning);
  Task<void> refuse(const Error& error);
  Task<void> send_failure(const Error& error);
  [[gnu::noinline]] Task<Result<std::string>> write_elsewhere(EventBatch batch);
  Task<void> send_whole();
  Task<void> send_stream();
  Task<Result<EventBatch>> next_batch();
  Task<Result<void>> begin_stream();
  void note(const EventBatch& batch);

  const Pipeline& pipeline_;
  const GenerationSettings& settings_;
  AnswerSink& sink_;
  CallRecord& record_;
  std::shared_ptr<const protocol::Codec> codec_;
  http::BodyMemory::Share memory_;  // of a whole answer; passed-through answers count where they are read
  MonotonicTime began_;
  std::unique_ptr<EventStream> events_;
  std::shared_ptr<protocol::AnswerEncoder> encoder_;  // shared with a job that writes a long answer
  bool streamed_ = false;
  bool tells_usage_ = false;
  bool commenting_ = false;  // a comment is on its way to the client
};

}  // namespace autoglm::gateway
