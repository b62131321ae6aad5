#include "gateway/front/http/ollama_routes.h"

#include "gateway/front/http/caller.h"
#include "gateway/front/http/generation_routes.h"
#include "gateway/protocol/ollama/chat_codec.h"
#include "gateway/protocol/ollama/embed_codec.h"
#include "gateway/protocol/ollama/generate_codec.h"
#include "gateway/protocol/ollama/models.h"

#include <string>
#include <utility>

namespace autoglm::gateway {

namespace {

namespace ollama = protocol::ollama;
using http::Request;
using http::ResponseWriter;

constexpr std::string_view kShowExample =
    " -H 'Content-Type: application/json' -d '{\"model\": \"smollm2\"}'";

// By value: the task outlives its caller's temporaries.
Task<void> say_ollama(ResponseWriter& response, RequestRecord& record, Error error) {
  co_await send_error(response, error, record, ollama::error_body(error));
}

Task<void> show(const Pipeline& pipeline, Request& request, ResponseWriter& response, RequestRecord& record) {
  const auto name = ollama::read_model_name(request.body);
  const auto card = name ? pipeline.card(*name, record.caller.get()) : Result<ModelCard>(fail(name.error()));
  if (!card) {
    co_await say_ollama(response, record, card.error());
    co_return;
  }
  record.model = card->root.empty() ? card->name : card->root;
  // Servers elsewhere tell nothing of their tokenizers.
  const auto info = co_await pipeline.call(*name, TokenizerInfoRequest(), context_of(request, record));
  co_await send_json(response, record, ollama::show_body(*card, info ? std::string_view(info->json) : ""));
}

/// Clients pull a model before they use it: one that is served is there.
Task<void> pull(const Pipeline& pipeline, const Request& request, ResponseWriter& response,
                RequestRecord& record) {
  const auto name = ollama::read_model_name(request.body);
  if (!name) {
    co_await say_ollama(response, record, name.error());
  } else if (pipeline.card(*name, record.caller.get())) {
    co_await send_json(response, record, "{\"status\":\"success\"}\n");
  } else {
    co_await say_ollama(response, record, ollama::managed_elsewhere());
  }
}

Task<void> list_ready(const Pipeline& pipeline, ResponseWriter& response, RequestRecord& record) {
  std::vector<ModelCard> ready;
  const auto models = pipeline.models().now();
  for (const auto& entry : models->entries()) {
    if (record.caller && !record.caller->may_use(entry.name)) continue;
    if (entry.endpoint->status().state != EndpointStatus::State::kReady) continue;
    ready.push_back(entry.endpoint->card());
    ready.back().name = entry.name;
  }
  co_await send_json(response, record, ollama::ps_body(ready));
}

Task<void> say_running(ResponseWriter& response, RequestRecord& record) {
  record.status = 200;
  record.complete = true;
  co_await response.send(200, "text/plain; charset=utf-8", "Ollama is running");
}

/// Ollama's clients look here for a server; for others there is nothing but the page for browsers.
bool looks_for_ollama(const Request& request) {
  return request.method == "HEAD" || request.headers.find("user-agent").value_or("").starts_with("ollama");
}

Route managed(std::string_view method, std::string_view path) {
  return {.method = method,
          .path = path,
          .example = "",
          .answer =
              [](Request&, ResponseWriter& response, RequestRecord& record) {
                return say_ollama(response, record, ollama::managed_elsewhere());
              },
          .error_body = ollama::error_body,
          .summary = "Refused: models are managed by the configuration"};
}

std::vector<Route> model_list_routes(const Pipeline& pipeline) {
  return {
      {.method = "GET",
       .path = "/api/tags",
       .example = "",
       .answer =
           [&pipeline](Request&, ResponseWriter& response, RequestRecord& record) {
             return send_json(response, record, ollama::tags_body(pipeline.cards(record.caller.get())));
           },
       .error_body = ollama::error_body,
       .summary = "The models, as Ollama lists them"},
      {.method = "POST",
       .path = "/api/show",
       .example = kShowExample,
       .answer = [&pipeline](Request& request, ResponseWriter& response,
                             RequestRecord& record) { return show(pipeline, request, response, record); },
       .error_body = ollama::error_body,
       .summary = "What is known of a model"},
      {.method = "GET",
       .path = "/api/ps",
       .example = "",
       .answer = [&pipeline](Request&, ResponseWriter& response,
                             RequestRecord& record) { return list_ready(pipeline, response, record); },
       .error_body = ollama::error_body,
       .summary = "The models that are ready"},
      {.method = "GET",
       .path = "/api/version",
       .example = "",
       .answer = [](Request&, ResponseWriter& response,
                    RequestRecord& record) { return send_json(response, record, ollama::version_body()); },
       .error_body = ollama::error_body,
       .summary = "The version of Ollama's API"},
      {.method = "POST",
       .path = "/api/pull",
       .example = kShowExample,
       .answer = [&pipeline](Request& request, ResponseWriter& response,
                             RequestRecord& record) { return pull(pipeline, request, response, record); },
       .error_body = ollama::error_body,
       .summary = "Whether a model is there"},
      managed("POST", "/api/push"),
      managed("POST", "/api/create"),
      managed("POST", "/api/copy"),
      managed("DELETE", "/api/delete"),
      {.method = "GET",
       .path = "/",
       .example = "",
       .answer = [](Request&, ResponseWriter& response,
                    RequestRecord& record) { return say_running(response, record); },
       .only_for = looks_for_ollama}};
}

}  // namespace

std::vector<Route> ollama_routes(const Pipeline& pipeline,
                                 const std::shared_ptr<const GenerationSettings>& settings) {
  const auto call = [&](std::string_view summary, std::string_view path, std::string_view example,
                        std::shared_ptr<const protocol::Codec> codec) {
    return described(
        summary, generation_route(path, example, std::move(codec), pipeline, settings, ollama::error_body));
  };
  std::vector<Route> routes{
      call("A chat, as Ollama has it", "/api/chat",
           " -H 'Content-Type: application/json' -d '{\"model\": \"smollm2\", \"messages\": [{\"role\": "
           "\"user\", \"content\": \"Hello\"}]}'",
           std::make_shared<ollama::ChatCodec>()),
      call("A prompt, as Ollama has it", "/api/generate",
           " -H 'Content-Type: application/json' -d '{\"model\": \"smollm2\", \"prompt\": \"Hello\"}'",
           std::make_shared<ollama::GenerateCodec>()),
      call("Vectors of texts, as Ollama has them", "/api/embed",
           " -H 'Content-Type: application/json' -d '{\"model\": \"bge\", \"input\": [\"Hello\"]}'",
           std::make_shared<ollama::EmbedCodec>()),
      call("A text's vector, as Ollama had it", "/api/embeddings",
           " -H 'Content-Type: application/json' -d '{\"model\": \"bge\", \"prompt\": \"Hello\"}'",
           std::make_shared<ollama::EmbeddingsCodec>())};
  for (Route& route : model_list_routes(pipeline)) routes.push_back(std::move(route));
  return routes;
}

}  // namespace autoglm::gateway
