#include "gateway/front/http/model_routes.h"

#include "gateway/protocol/openai/models.h"
#include "gateway/protocol/vllm/tokenize.h"

#include "base/json_string.h"
#include "gateway/front/http/caller.h"
#include "gateway/front/http/long_body.h"
#include "runtime/race.h"

#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::string_view kJsonType = "application/json";

Task<void> send_json(http::ResponseWriter& response, RequestRecord& record, std::string body) {
  record.status = 200;
  record.complete = true;
  co_await response.send(200, kJsonType, body);
}

Task<void> list_models(const LiveDirectory& models, http::ResponseWriter& response, RequestRecord& record) {
  co_await send_json(response, record, protocol::openai::models_body(models.now()->cards()));
}

Task<void> show_model(const LiveDirectory& models, const http::Request& request,
                      http::ResponseWriter& response, RequestRecord& record) {
  // Names may hold slashes, which clients send encoded or not.
  constexpr std::string_view kPrefix = "/v1/models/";
  const auto name = http::percent_decode(request.path.substr(kPrefix.size()));
  const auto directory = models.now();
  const auto found = directory->find(name.value_or(std::string(request.path)));
  if (!found) {
    co_await send_error(response, found.error(), record);
    co_return;
  }
  ModelCard card = (*found)->endpoint->card();
  card.name = *name;
  if (card.name != (*found)->name) card.root = (*found)->name;
  co_await send_json(response, record, protocol::openai::model_body(card));
}

/// What `decode` makes of the body, on the pool where it would take long.
template <class Call>
Task<Result<Call>> read(BlockingPool* pool, http::Request& request,
                        Result<Call> (*decode)(std::string_view)) {
  if (pool == nullptr || !is_long(request.body)) co_return decode(request.body);
  auto read = co_await read_on_pool(*pool, request.body, tenant_of(request),
                                    [decode](const std::string& body) { return decode(body); });
  if (!read) co_return fail(std::move(read).error());
  co_return std::move(*read);
}

Task<void> tokenize(const LiveDirectory& models, BlockingPool* pool, http::Request& request,
                    http::ResponseWriter& response, RequestRecord& record) {
  auto call = co_await read(pool, request, protocol::vllm::decode_tokenize);
  if (!call) {
    co_await send_error(response, call.error(), record);
    co_return;
  }
  const auto directory = models.now();
  const auto found = directory->find(call->model);
  if (!found) {
    co_await send_error(response, found.error(), record);
    co_return;
  }
  const CallContext context = context_of(request, record, (*found)->timeouts.request);
  const auto result = co_await with_deadline(
      context.deadline, (*found)->endpoint->tokenize(std::move(call->work), context), "tokenizing");
  if (!result) {
    co_await send_error(response, result.error(), record);
    co_return;
  }
  co_await send_json(response, record, protocol::vllm::tokenize_body(*result, call->with_pieces));
}

Task<void> detokenize(const LiveDirectory& models, BlockingPool* pool, http::Request& request,
                      http::ResponseWriter& response, RequestRecord& record) {
  auto call = co_await read(pool, request, protocol::vllm::decode_detokenize);
  if (!call) {
    co_await send_error(response, call.error(), record);
    co_return;
  }
  const auto directory = models.now();
  const auto found = directory->find(call->model);
  if (!found) {
    co_await send_error(response, found.error(), record);
    co_return;
  }
  const auto text = co_await (*found)->endpoint->detokenize(std::move(call->tokens));
  if (!text) {
    co_await send_error(response, text.error(), record);
    co_return;
  }
  co_await send_json(response, record, protocol::vllm::detokenize_body(*text));
}

Task<void> tell_tokenizer(const LiveDirectory& models, const http::Request& request,
                          http::ResponseWriter& response, RequestRecord& record) {
  constexpr std::string_view kModel = "model=";
  std::string name;
  if (request.query.starts_with(kModel))
    name = http::percent_decode(request.query.substr(kModel.size())).value_or(std::string(request.query));
  const auto directory = models.now();
  const auto found = directory->find(name);
  if (!found) {
    co_await send_error(response, found.error(), record);
    co_return;
  }
  auto info = co_await (*found)->endpoint->tokenizer_info();
  if (!info) {
    co_await send_error(response, info.error(), record);
    co_return;
  }
  co_await send_json(response, record, std::move(*info));
}

}  // namespace

std::vector<Route> model_routes(const LiveDirectory& models, std::string version, BlockingPool* pool) {
  using http::Request;
  using http::ResponseWriter;
  return {
      {"GET", "/v1/models", "",
       [&models](Request&, ResponseWriter& response, RequestRecord& record) {
         return list_models(models, response, record);
       }},
      {"GET", "/v1/models/", "smollm2-135m-instruct",
       [&models](Request& request, ResponseWriter& response, RequestRecord& record) {
         return show_model(models, request, response, record);
       }},
      {"POST", "/tokenize", " -H 'Content-Type: application/json' -d '{\"prompt\": \"Hello\"}'",
       [&models, pool](Request& request, ResponseWriter& response, RequestRecord& record) {
         return tokenize(models, pool, request, response, record);
       }},
      {"POST", "/detokenize", " -H 'Content-Type: application/json' -d '{\"tokens\": [1, 2, 3]}'",
       [&models, pool](Request& request, ResponseWriter& response, RequestRecord& record) {
         return detokenize(models, pool, request, response, record);
       }},
      {"GET", "/tokenizer_info", "",
       [&models](Request& request, ResponseWriter& response, RequestRecord& record) {
         return tell_tokenizer(models, request, response, record);
       }},
      {"GET", "/version", "",
       [version = std::move(version)](Request&, ResponseWriter& response, RequestRecord& record) {
         std::string body = R"({"version":)";
         append_json_string(body, version);
         // Open-AutoGLM gateways ask such a server for more than others can do.
         return send_json(response, record, body + R"(,"server":"open-autoglm"})");
       }},
  };
}

}  // namespace autoglm::gateway
