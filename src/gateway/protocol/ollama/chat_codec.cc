#include "gateway/protocol/ollama/chat_codec.h"

#include "gateway/protocol/ollama/answer_encoder.h"
#include "gateway/protocol/ollama/fields.h"

#include <array>
#include <utility>

namespace autoglm::protocol::ollama {

namespace {

constexpr auto kChatFields =
    std::to_array<JsonField<Body>>({{"messages", read_messages}, {"tools", read_tools}});

}  // namespace

Result<DecodedCall> ChatCodec::decode(std::string_view bytes) const {
  Body body;
  const auto unknown = read_fields(bytes, body, kChatFields, shared_fields());
  if (!unknown) return fail(unknown.error());
  if (auto settled = settle(body); !settled) return fail(settled.error());
  const bool asks_nothing = body.chat.messages.empty();
  body.work.prompts.front() = std::move(body.chat);
  return make_call(std::move(body), AnswerShape::kChat, asks_nothing, *unknown);
}

Result<DecodedCall> ChatCodec::outline(std::string_view body) const { return decode(body); }

}  // namespace autoglm::protocol::ollama
