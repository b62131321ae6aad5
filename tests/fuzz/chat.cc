// The body of a POST /v1/chat/completions.
#include "gateway/protocol/openai/chat_codec.h"

#include "codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body = autoglm::fuzzing::text_of(data, size);
  autoglm::fuzzing::decode_and_answer(autoglm::protocol::openai::ChatCodec(), body, true);
  return 0;
}
