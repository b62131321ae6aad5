// Embeddings and scores of endpoints, as their client codecs read them.
#include "gateway/protocol/ollama/client_codec.h"
#include "gateway/protocol/openai/client_codec.h"
#include "gateway/protocol/tei/client_codec.h"

#include "answer_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm;
  const std::string_view bytes = fuzzing::text_of(data, size);
  const InferenceRequest embed = fuzzing::asked(EmbedRequest{.inputs = {TextPrompt{"a"}, TextPrompt{"b"}}});
  const InferenceRequest score = fuzzing::asked(ScoreRequest{.queries = {"q"}, .documents = {"a", "b"}});
  const InferenceRequest pairs = fuzzing::asked(ScoreRequest{.queries = {"q", "p"}, .documents = {"a", "b"}});
  fuzzing::check_answer(protocol::openai::OpenAiClient(), embed, bytes);
  fuzzing::check_answer(protocol::openai::OpenAiClient(), score, bytes);
  fuzzing::check_answer(protocol::openai::OpenAiClient(), pairs, bytes);
  fuzzing::check_answer(protocol::ollama::OllamaClient(), embed, bytes);
  fuzzing::check_answer(protocol::tei::TeiClient(), embed, bytes);
  fuzzing::check_answer(protocol::tei::TeiClient(), score, bytes);
  return 0;
}
