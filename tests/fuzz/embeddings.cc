// The bodies of POST /v1/embeddings, /v1/rerank and /score, by the first byte.
#include "gateway/protocol/openai/embeddings_codec.h"
#include "gateway/protocol/rerank/rerank_codec.h"
#include "gateway/protocol/rerank/score_codec.h"

#include "codec.h"

namespace {

using namespace autoglm;

const protocol::Codec& codec_of(std::uint8_t number) {
  static const protocol::openai::EmbeddingsCodec embeddings;
  static const protocol::rerank::RerankCodec rerank;
  static const protocol::rerank::ScoreCodec score;
  if (number % 3 == 0) return embeddings;
  return number % 3 == 1 ? static_cast<const protocol::Codec&>(rerank) : score;
}

/// An answer of the right size.
WholeAnswer answer_to(const Work& work) {
  if (const auto* embed = std::get_if<EmbedRequest>(&work)) {
    fuzzing::expect(!embed->inputs.empty() && embed->inputs.size() <= 2048,
                    "there is a bounded number of texts");
    return EmbedResult{.vectors = {embed->inputs.size(), std::vector<float>{0.5F, -1e-20F}}};
  }
  const auto& score = std::get<ScoreRequest>(work);
  fuzzing::expect(!score.documents.empty() && score.documents.size() <= 2048,
                  "there is a bounded number of texts");
  fuzzing::expect(score.queries.size() == 1 || score.queries.size() == score.documents.size(),
                  "each document has a query");
  return ScoreResult{.scores = std::vector<double>(score.documents.size(), 0.25)};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto call = codec_of(*data).decode(fuzzing::text_of(data + 1, size - 1));
  if (!call) {
    const Error& error = call.error();
    fuzzing::expect(error.code == ErrorCode::kInvalidArgument, "a body is refused as the client's mistake");
    fuzzing::expect(!error.message.empty() && simdjson::validate_utf8(error.message), "a reason is text");
    return 0;
  }
  const auto encoder = call->make_encoder({.id = "id\"", .model = "m\\", .created = 1});
  std::string out;
  encoder->events({.answer = std::make_shared<const WholeAnswer>(answer_to(call->work))}, out);
  encoder->end({.prompt_tokens = 3}, out);
  fuzzing::expect(fuzzing::is_json(out), "an answer is a JSON document");
  return 0;
}
