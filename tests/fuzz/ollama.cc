// The bodies of POST /api/chat, /api/generate, /api/embed and of calls that name a model.
#include "gateway/protocol/ollama/chat_codec.h"
#include "gateway/protocol/ollama/embed_codec.h"
#include "gateway/protocol/ollama/generate_codec.h"
#include "gateway/protocol/ollama/models.h"

#include "answers.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm;
  namespace ollama = protocol::ollama;
  const std::string_view body = fuzzing::text_of(data, size);
  fuzzing::decode_and_answer_in(ollama::ChatCodec(), body, fuzzing::Frames::kLines);
  fuzzing::decode_and_answer_in(ollama::GenerateCodec(), body, fuzzing::Frames::kLines);
  fuzzing::decode_and_answer_in(ollama::EmbedCodec(), body, fuzzing::Frames::kLines);
  fuzzing::decode_and_answer_in(ollama::EmbeddingsCodec(), body, fuzzing::Frames::kLines);
  if (const auto name = ollama::read_model_name(body))
    fuzzing::expect(fuzzing::is_json(ollama::show_body({.name = *name}, "")), "a description is JSON");
  return 0;
}
