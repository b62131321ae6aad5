#pragma once

#include "gateway/endpoint/http_clients.h"
#include "gateway/protocol/openai/frame_reader.h"
#include "http/client.h"
#include "inference/events.h"
#include "inference/request.h"
#include "runtime/channel.h"
#include "runtime/scope.h"
#include "runtime/signal.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace autoglm::gateway {

/// The answer of a server, in the client's own protocol: whole frames, unchanged, with the events in them. A
/// stream is read a few batches ahead by its own task, so that a pending `next()` can be given up without
/// losing bytes; a whole answer is read by `next()` itself.
class PassThroughStream final : public EventStream {
 public:
  struct Shape {
    WireBody::Protocol protocol;
    bool stream;
    protocol::openai::FrameReader::Shape frames;
  };
  /// What it holds counts towards the answers' memory of `clients` until it is destroyed.
  PassThroughStream(std::unique_ptr<http::ClientResponse> response, Shape shape, const HttpClients& clients);

  Task<Result<EventBatch>> next() override;
  bool tells_tokens() const override { return shape_.frames.whole_steps; }
  std::shared_ptr<const EndpointAnswer> head() const override { return head_; }

 private:
  Task<void> pump();
  Task<Result<EventBatch>> next_batch();
  Task<Result<EventBatch>> read_document();
  Task<void> look_into_document();
  Error told(Error error) const;
  Result<void> has_room();
  Task<Result<void>> read_unseen();
  Task<Result<void>> read_objects();
  Task<Result<void>> read_stream();
  Result<void> take_objects(bool over, EventBatch& batch);

  std::unique_ptr<http::ClientResponse> response_;
  std::shared_ptr<const EndpointAnswer> head_;
  Shape shape_;
  BlockingPool* pool_;
  http::BodyMemory::Share memory_;
  std::string buffer_;        // bytes that are no whole frame, or no whole document, yet
  std::size_t searched_ = 0;  // bytes of buffer_ searched for the end of an object
  protocol::openai::FrameReader frames_;
  // Of a whole answer:
  std::optional<Result<Usage>> said_;
  bool over_ = false;
  Signal looked_into_;
  // Of a stream, not of a whole answer:
  std::optional<Channel<Result<EventBatch>>> batches_;
  Scope reader_;  // last: it uses all of the above
};

}  // namespace autoglm::gateway
