// The bodies of llama-server's POST /completion and /infill.
#include "gateway/protocol/llama/completion_codec.h"

#include "answers.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm;
  const std::string_view body = fuzzing::text_of(data, size);
  fuzzing::decode_and_answer_in(protocol::llama::CompletionCodec(), body, fuzzing::Frames::kEvents);
  fuzzing::decode_and_answer_in(protocol::llama::InfillCodec(), body, fuzzing::Frames::kEvents);
  return 0;
}
