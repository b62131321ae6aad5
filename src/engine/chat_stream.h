#pragma once

#include "engine/backends/chat_format.h"
#include "inference/events.h"

#include <memory>
#include <string>
#include <vector>

namespace autoglm::engine {

/// A stream whose text passes through one chat parser per choice, on the loop that reads the stream.
class ChatStream final : public EventStream {
 public:
  /// `request_id` seeds the ids of tool calls that have none.
  ChatStream(std::unique_ptr<EventStream> inner, std::vector<std::unique_ptr<ChatParser>> parsers,
             std::string request_id)
      : inner_(std::move(inner)), parsers_(std::move(parsers)), request_id_(std::move(request_id)) {}

  Task<Result<EventBatch>> next() override;

 private:
  void parse(TokenEvent& event);

  std::unique_ptr<EventStream> inner_;
  std::vector<std::unique_ptr<ChatParser>> parsers_;  // one per choice
  std::string request_id_;
};

}  // namespace autoglm::engine
