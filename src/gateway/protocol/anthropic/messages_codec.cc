#include "gateway/protocol/anthropic/messages_codec.h"

#include "gateway/protocol/anthropic/body.h"
#include "gateway/protocol/anthropic/message_encoder.h"

#include <fmt/format.h>

#include <utility>

namespace autoglm::protocol::anthropic {

Result<DecodedCall> MessagesCodec::decode(std::string_view bytes) const {
  MessagesBody body;
  const auto unknown = read_fields(bytes, body, fields());
  if (!unknown) return fail(unknown.error());
  if (!body.max_tokens) return fail(missing("max_tokens", "1024"));
  if (auto settled = settle(body); !settled) return fail(settled.error());
  AnswerOptions options{
      .stop = body.work.stop.stop, .max_tokens = *body.max_tokens, .shows_thinking = body.shows_thinking};
  const bool stream = body.stream;
  return DecodedCall{.model = std::move(body.model),
                     .work = std::move(body.work),
                     .stream = stream,
                     .unknown_fields = *unknown,
                     .make_encoder = [stream, options = std::move(options)](AnswerFacts facts) {
                       return make_message_encoder(facts, options, stream);
                     }};
}

Result<DecodedCall> MessagesCodec::outline(std::string_view /*body*/) const {
  return fail(ErrorCode::kUnimplemented, "no other server judges the bodies of /v1/messages");
}

Result<CountTokensCall> decode_count_tokens(std::string_view bytes) {
  MessagesBody body;
  if (auto read = read_fields(bytes, body, fields()); !read) return fail(read.error());
  if (auto settled = settle(body); !settled) return fail(settled.error());
  if (body.work.refusal) return fail(std::move(*body.work.refusal));
  return CountTokensCall{.model = std::move(body.model),
                         .work = {.prompt = std::move(body.work.prompts.front())}};
}

std::string count_tokens_body(const TokenizeResult& result) {
  return fmt::format(R"({{"input_tokens":{}}})", result.tokens.size());
}

}  // namespace autoglm::protocol::anthropic
