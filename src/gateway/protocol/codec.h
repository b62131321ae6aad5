#pragma once

#include "base/result.h"
#include "inference/events.h"
#include "inference/request.h"

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
};

/// Writes one answer in one protocol from the events of its stream, however they are batched. A streamed
/// answer: every call appends the bytes that can go out now. A whole one: `events` collects, and `end`
/// appends the document. `end` or `failure` is called once, as the last call; `end` writes the usage where
/// the protocol or the request wants it. Not thread-safe; lives as long as the answer.
class AnswerEncoder {
 public:
  virtual ~AnswerEncoder() = default;

  virtual std::string_view content_type() const = 0;
  virtual void events(const EventBatch& batch, std::string& out) = 0;
  virtual void end(const Usage& usage, std::string& out) = 0;
  /// Notes the events of a batch whose frames went out as the endpoint wrote them, so that a choice which has
  /// begun is not begun again. The endpoint may name choices that this encoder does not know.
  virtual void passed(const EventBatch& /*batch*/) {}
  /// For a streamed answer that has begun: appends the one error event, after which the stream ends.
  virtual void failure(const Error& error, std::string& out) = 0;
};

/// A request as a protocol states it: the work, and how the answer is to be written.
struct DecodedCall {
  std::string model;  ///< empty: the default model
  GenerateRequest work;
  bool stream = false;
  WireBody::Protocol protocol = WireBody::Protocol::kNone;
  std::uint8_t priority = 0;            ///< 0 … 9, 9 first
  std::optional<std::int64_t> created;  ///< creation time of the answer that this one resumes, unix seconds
  std::uint32_t unknown_fields = 0;     ///< ignored, and counted
  bool opaque = false;                  ///< see WireBody
  std::move_only_function<std::unique_ptr<AnswerEncoder>(AnswerFacts)> make_encoder;
};

/// Turns a protocol's bytes into a request, and events into bytes. Pure: no I/O, no clock; thread-safe.
/// Errors are kInvalidArgument with the field in `param`. Member names are compared unescaped; of several
/// members with one name the last counts, and a null member counts as absent.
class Codec {
 public:
  virtual ~Codec() = default;
  virtual Result<DecodedCall> decode(std::string_view body) const = 0;
};

}  // namespace autoglm::protocol
