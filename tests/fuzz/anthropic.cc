// The bodies of POST /v1/messages and /v1/messages/count_tokens.
#include "gateway/protocol/anthropic/messages_codec.h"

#include "codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm;
  using fuzzing::expect;
  const std::string_view body = fuzzing::text_of(data, size);
  fuzzing::decode_and_answer(protocol::anthropic::MessagesCodec(), body, true);
  const auto counted = protocol::anthropic::decode_count_tokens(body);
  if (!counted) {
    expect(counted.error().code == ErrorCode::kInvalidArgument, "a body is refused as the client's mistake");
    expect(fuzzing::is_json(protocol::anthropic::error_body(counted.error())), "an error is JSON");
  }
  return 0;
}
