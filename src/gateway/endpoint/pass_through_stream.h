#pragma once

#include "http/client.h"
#include "inference/events.h"
#include "inference/request.h"
#include "runtime/channel.h"
#include "runtime/scope.h"

#include <memory>
#include <optional>
#include <string>

namespace autoglm::gateway {

/// The answer of a server, in the client's own protocol: whole frames as they came, with what is in them.
/// A stream is read ahead by a task of its own, a few batches far, so that a pending `next()` can be given up
/// without losing bytes; a whole answer by `next()` itself.
class PassThroughStream final : public EventStream {
 public:
  struct Shape {
    WireBody::Protocol protocol;
    bool stream;
    bool whole_steps;  ///< frames count only once the tokens of their step are known: see StreamEncoder
    bool resumed;      ///< the beginning was sent by somebody else
  };
  PassThroughStream(std::unique_ptr<http::ClientResponse> response, Shape shape);

  Task<Result<EventBatch>> next() override;
  bool tells_tokens() const override { return shape_.whole_steps; }

 private:
  Task<void> pump();
  Task<Result<EventBatch>> next_batch();
  Task<Result<EventBatch>> read_document();
  Task<Result<void>> read_unseen();
  Task<Result<void>> read_stream();
  Result<bool> take_frames(EventBatch& batch);
  Result<bool> take_frame(std::string_view frame, EventBatch& batch);

  std::unique_ptr<http::ClientResponse> response_;
  Shape shape_;
  std::string buffer_;  // bytes that are no whole frame, or no whole document, yet
  EventBatch held_;     // of a step that is not complete
  Usage usage_;
  std::uint32_t tokens_ = 0;
  // Of a stream, not of a whole answer:
  std::optional<Channel<Result<EventBatch>>> batches_;
  Scope reader_;  // last: it uses all of the above
};

}  // namespace autoglm::gateway
