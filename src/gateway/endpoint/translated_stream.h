#pragma once

#include "gateway/endpoint/http_clients.h"
#include "gateway/protocol/client_codec.h"
#include "http/client.h"
#include "inference/events.h"
#include "runtime/channel.h"
#include "runtime/scope.h"

#include <memory>
#include <string>

namespace autoglm::gateway {

/// The answer of a server that speaks another protocol than the client: events, which the client's codec
/// writes. Read a few batches ahead by its own task, so that a pending `next()` can be given up.
class TranslatedStream final : public EventStream {
 public:
  /// What it holds counts towards the answers' memory of `clients` until it is destroyed.
  TranslatedStream(std::unique_ptr<http::ClientResponse> response,
                   std::unique_ptr<protocol::AnswerReader> reader, const HttpClients& clients);

  Task<Result<EventBatch>> next() override;
  bool tells_tokens() const override { return tells_tokens_; }
  std::shared_ptr<const EndpointAnswer> head() const override { return head_; }

 private:
  Task<void> pump();
  Task<Result<void>> read_all();
  Task<Result<void>> read_on_pool(EventBatch& batch);
  Result<void> has_room();

  std::unique_ptr<http::ClientResponse> response_;
  std::shared_ptr<const EndpointAnswer> head_;
  std::shared_ptr<protocol::AnswerReader> reader_;
  bool tells_tokens_;
  BlockingPool* pool_;
  http::BodyMemory::Share memory_;
  std::string buffer_;  // bytes that the reader has left
  Channel<Result<EventBatch>> batches_{2U};
  Scope scope_;  // last: its task uses all of the above
};

}  // namespace autoglm::gateway
