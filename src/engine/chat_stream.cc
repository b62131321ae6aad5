#include "engine/chat_stream.h"

#include "engine/text/call_id.h"

#include <fmt/format.h>

namespace autoglm::engine {

Task<Result<EventBatch>> ChatStream::next() {
  auto batch = co_await inner_->next();
  if (batch) {
    for (TokenEvent& event : batch->events) parse(event);
  }
  co_return batch;
}

void ChatStream::parse(TokenEvent& event) {
  // Nothing new to read: a character is incomplete, or a stop string may have begun.
  if (event.text.empty() && !event.finish) return;
  parsers_[event.choice]->parse(event);
  for (ToolCallDelta& call : event.tool_calls) {
    // A call's first delta has its name; the client needs an id to answer the call.
    if (!call.name.empty() && call.id.empty())
      call.id = call_id(fmt::format("{} {} {}", request_id_, event.choice, call.index));
  }
}

}  // namespace autoglm::engine
