// The body of a POST /generate.
#include "gateway/protocol/vllm/generate_codec.h"

#include "codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body = autoglm::fuzzing::text_of(data, size);
  autoglm::fuzzing::decode_and_answer(autoglm::protocol::vllm::GenerateCodec(), body, false);
  return 0;
}
