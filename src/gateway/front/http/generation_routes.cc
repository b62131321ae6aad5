#include "gateway/front/http/generation_routes.h"

#include "gateway/front/http/anthropic_routes.h"
#include "gateway/front/http/caller.h"
#include "gateway/front/http/http_sink.h"
#include "gateway/protocol/openai/chat_codec.h"
#include "gateway/protocol/openai/completions_codec.h"
#include "gateway/protocol/openai/embeddings_codec.h"
#include "gateway/protocol/rerank/rerank_codec.h"
#include "gateway/protocol/rerank/score_codec.h"
#include "gateway/protocol/vllm/generate_codec.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::string_view kRerankExample =
    " -H 'Content-Type: application/json' -d '{\"query\": \"What is a panda?\", \"documents\": [\"A "
    "bear.\", \"A car.\"]}'";

}  // namespace

Route generation_route(std::string_view path, std::string_view example,
                       std::shared_ptr<const protocol::Codec> codec, const Pipeline& pipeline,
                       std::shared_ptr<const GenerationSettings> settings,
                       std::string (*error_body)(const Error&)) {
  return {.method = "POST",
          .path = path,
          .example = example,
          .answer = [codec = std::move(codec), &pipeline, settings = std::move(settings)](
                        http::Request& request, http::ResponseWriter& response,
                        RequestRecord& record) -> Task<void> {
            HttpSink sink(request, response, record);
            GenerationCall call(pipeline, *settings, sink, record);
            co_await call.run(codec, incoming_call(request, record));
          },
          .error_body = error_body};
}

std::vector<Route> generation_routes(const Pipeline& pipeline, GenerationSettings settings) {
  namespace openai = protocol::openai;
  const auto shared = std::make_shared<const GenerationSettings>(std::move(settings));
  std::vector<Route> routes = {
      described("Completions",
                generation_route(
                    "/v1/completions",
                    " -H 'Content-Type: application/json' -d '{\"prompt\": \"Hello\", \"max_tokens\": 50}'",
                    std::make_shared<openai::CompletionsCodec>(), pipeline, shared)),
      described("Chats", generation_route(
                             "/v1/chat/completions",
                             " -H 'Content-Type: application/json' -d '{\"messages\": [{\"role\": \"user\", "
                             "\"content\": \"Hello\"}]}'",
                             std::make_shared<openai::ChatCodec>(), pipeline, shared)),
      described("Completions, as vLLM's simple API has them",
                generation_route(
                    "/generate",
                    " -H 'Content-Type: application/json' -d '{\"prompt\": \"Hello\", \"max_tokens\": 50}'",
                    std::make_shared<protocol::vllm::GenerateCodec>(), pipeline, shared)),
      described("Vectors of texts",
                generation_route("/v1/embeddings",
                                 " -H 'Content-Type: application/json' -d '{\"input\": \"Hello\"}'",
                                 std::make_shared<openai::EmbeddingsCodec>(), pipeline, shared)),
      described("Documents ranked by how well they answer, as Jina and Cohere have it",
                generation_route("/v1/rerank", kRerankExample,
                                 std::make_shared<protocol::rerank::RerankCodec>(), pipeline, shared)),
      described("The same, at Cohere's second path",
                generation_route("/v2/rerank", kRerankExample,
                                 std::make_shared<protocol::rerank::RerankCodec>(), pipeline, shared)),
      described(
          "Scores of pairs of texts, as vLLM has them",
          generation_route("/v1/score",
                           " -H 'Content-Type: application/json' -d '{\"text_1\": \"panda\", \"text_2\": "
                           "[\"A bear.\"]}'",
                           std::make_shared<protocol::rerank::ScoreCodec>(), pipeline, shared)),
  };
  std::ranges::move(anthropic_routes(pipeline, shared), std::back_inserter(routes));
  return routes;
}

}  // namespace autoglm::gateway
