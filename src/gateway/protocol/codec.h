#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "inference/events.h"
#include "inference/request.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::protocol {

/// What an answer says about itself.
struct AnswerFacts {
  std::string id;                ///< the request id, without the protocol's prefix
  std::string model;             ///< as resolved
  std::int64_t created = 0;      ///< unix seconds
  std::string fingerprint = {};  ///< equal seeds repeat only under an equal one; empty: unknown
  /// A stream tells its usage even when the request did not ask for it, in a form that clients ignore: for
  /// another process of this program.
  bool tells_usage = false;
  /// For protocols whose answers say how long they took: when the call came, and what time it is. Null: times
  /// are not known.
  MonotonicTime began = {};
  MonotonicTime (*now)() = nullptr;

  Duration elapsed() const { return now != nullptr ? now() - began : Duration::zero(); }
};

/// Writes one answer in one protocol from the events of its stream, however they are batched. A streamed
/// answer: every call appends the bytes that can go out now. A whole one: `events` collects, and `end`
/// appends the document. `end` or `failure` is called once, as the last call; `end` writes the usage where
/// the protocol or the request wants it. Not thread-safe; lives as long as the answer.
class AnswerEncoder {
 public:
  virtual ~AnswerEncoder() = default;

  virtual std::string_view content_type() const = 0;
  /// Bytes that clients ignore, for a stream that has nothing to say for long; empty: there are none.
  virtual std::string_view keep_alive() const { return {}; }
  virtual void events(const EventBatch& batch, std::string& out) = 0;
  virtual void end(const Usage& usage, std::string& out) = 0;
  /// Notes the events of a batch whose frames went out as the endpoint wrote them, so that a choice which has
  /// begun is not begun again. The endpoint may name choices that this encoder does not know.
  virtual void passed(const EventBatch& /*batch*/) {}
  /// For a streamed answer that has begun: appends the one error event, after which the stream ends.
  virtual void failure(const Error& error, std::string& out) = 0;
  /// Bytes of a streamed answer that are kept for its end. Of a whole one: those that stand in it before any
  /// event has come, such as an input that the answer repeats.
  virtual std::size_t kept() const { return 0; }
};

/// A request as a protocol states it: the work, and how the answer is to be written.
struct DecodedCall {
  std::string model;  ///< empty: the default model
  Work work;
  bool stream = false;
  WireBody::Protocol protocol = WireBody::Protocol::kNone;
  std::uint8_t priority = 0;            ///< 0 … 9, 9 first
  std::optional<std::int64_t> created;  ///< creation time of the answer that this one resumes, unix seconds
  std::uint32_t unknown_fields = 0;     ///< ignored, and counted
  bool asks_nothing = false;  ///< no work: a model that exists answers with the document of no events
  using MakeEncoder = std::move_only_function<std::unique_ptr<AnswerEncoder>(AnswerFacts) const>;
  MakeEncoder make_encoder;

  /// Null: something else is asked for.
  const GenerateRequest* generation() const { return std::get_if<GenerateRequest>(&work); }
};

/// Turns a protocol's bytes into a request, and events into bytes. Pure: no I/O, no clock; thread-safe.
/// Errors are kInvalidArgument with the field in `param`. Member names are compared unescaped; of several
/// members with one name the last counts, and a null member counts as absent.
class Codec {
 public:
  virtual ~Codec() = default;
  virtual Result<DecodedCall> decode(std::string_view body) const = 0;
  /// Whether reading the body may take long although it is short. Cheap.
  virtual bool is_slow(std::string_view /*body*/) const { return false; }
  /// What a gateway must know of a body that only its servers understand: the model, and whether it streams.
  /// The call is opaque. Errors: no JSON object, or one of the two is wrong.
  virtual Result<DecodedCall> outline(std::string_view body) const = 0;
  /// The JSON body of an answer that is an error.
  virtual std::string error_body(const Error& error) const = 0;
};

}  // namespace autoglm::protocol
