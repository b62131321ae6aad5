// A streamed answer of an endpoint, as the client codec reads it.
#include "gateway/protocol/openai/client_codec.h"

#include "answer_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm;
  const protocol::openai::OpenAiClient codec;
  fuzzing::check_answer(codec, fuzzing::asked(GenerateRequest{.prompts = {TextPrompt{"a"}}, .n = 2}),
                        fuzzing::text_of(data, size));
  return 0;
}
