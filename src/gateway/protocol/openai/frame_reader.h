#pragma once

#include "base/result.h"
#include "inference/events.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace autoglm::protocol::openai {

/// Reads the frames of a streamed answer out of its bytes, as they come: what they say becomes events, and
/// the frames themselves `EventBatch::raw`. Pure; lives as long as its answer.
class FrameReader {
 public:
  struct Shape {
    bool whole_steps =
        false;               ///< frames count only once the tokens of their step are known: see StreamEncoder
    bool resumed = false;    ///< the beginning was sent by another server
    bool decodes = false;    ///< events say all that the frames say, and take their place
    std::uint32_t said = 0;  ///< tokens of that beginning
    std::uint32_t choices = 1;  ///< choices that were asked for
  };
  explicit FrameReader(const Shape& shape) : shape_(shape), says_(shape.resumed), tokens_(shape.said) {}

  /// Takes every whole frame out of `bytes`; true after the stream's last one. Errors: what the server says
  /// in the answer's place; kBadGateway with the reason "bad_stream". `batch` then has the frames before.
  Result<bool> take(std::string& bytes, EventBatch& batch);
  /// The error of a stream that ended before its last frame and left `rest`: perhaps the server sent a
  /// document instead, which says why.
  Error ended(std::string_view rest) const;
  /// Of a stream that has come to its last frame.
  const Usage& usage() const { return usage_; }
  /// Frames that wait for others to go out with.
  const EventBatch& held() const { return held_; }
  const Shape& shape() const { return shape_; }

 private:
  Result<bool> take_frame(std::string_view frame, EventBatch& batch);

  Shape shape_;
  std::size_t searched_ = 0;  // bytes that were searched for the end of a frame
  EventBatch held_;           // frames of a step that is not complete, or from before anything is said
  bool says_;                 // the answer has said something
  Usage usage_;
  std::uint32_t tokens_;
};

/// kBadGateway with the reason "bad_stream": an answer that is none. Another endpoint may do better.
Error broken_answer(std::string message);
/// kPayloadTooLarge, for a whole answer of more than `most` bytes. The request asked for it: every endpoint
/// would answer as much.
Error too_much_asked(std::size_t most);

}  // namespace autoglm::protocol::openai
