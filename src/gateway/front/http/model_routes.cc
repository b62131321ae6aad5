#include "gateway/front/http/model_routes.h"

#include "gateway/protocol/openai/models.h"
#include "gateway/protocol/vllm/tokenize.h"

#include "base/json_string.h"
#include "gateway/front/call/long_body.h"
#include "gateway/front/http/caller.h"

#include <utility>

namespace autoglm::gateway {

namespace {

Task<void> show_model(const Pipeline& pipeline, const http::Request& request, http::ResponseWriter& response,
                      RequestRecord& record) {
  // Names may hold slashes, which clients send encoded or not.
  constexpr std::string_view kPrefix = "/v1/models/";
  const auto name = http::percent_decode(request.path.substr(kPrefix.size()));
  const auto card = pipeline.card(name.value_or(std::string(request.path)), record.caller.get());
  if (!card) {
    co_await send_error(response, card.error(), record);
    co_return;
  }
  co_await send_json(response, record, protocol::openai::model_body(*card));
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

Task<void> tokenize(const Pipeline& pipeline, BlockingPool* pool, http::Request& request,
                    http::ResponseWriter& response, RequestRecord& record) {
  auto call = co_await read(pool, request, protocol::vllm::decode_tokenize);
  if (!call) {
    co_await send_error(response, call.error(), record);
    co_return;
  }
  const auto result =
      co_await pipeline.call(std::move(call->model), std::move(call->work), context_of(request, record));
  if (!result) {
    co_await send_error(response, result.error(), record);
    co_return;
  }
  co_await send_json(response, record, protocol::vllm::tokenize_body(*result, call->with_pieces));
}

Task<void> detokenize(const Pipeline& pipeline, BlockingPool* pool, http::Request& request,
                      http::ResponseWriter& response, RequestRecord& record) {
  auto call = co_await read(pool, request, protocol::vllm::decode_detokenize);
  if (!call) {
    co_await send_error(response, call.error(), record);
    co_return;
  }
  const auto result =
      co_await pipeline.call(std::move(call->model), std::move(call->work), context_of(request, record));
  if (!result) {
    co_await send_error(response, result.error(), record);
    co_return;
  }
  co_await send_json(response, record, protocol::vllm::detokenize_body(result->text));
}

Task<void> tell_tokenizer(const Pipeline& pipeline, const http::Request& request,
                          http::ResponseWriter& response, RequestRecord& record) {
  constexpr std::string_view kModel = "model=";
  std::string name;
  if (request.query.starts_with(kModel))
    name = http::percent_decode(request.query.substr(kModel.size())).value_or(std::string(request.query));
  auto info = co_await pipeline.call(std::move(name), TokenizerInfoRequest(), context_of(request, record));
  if (!info) {
    co_await send_error(response, info.error(), record);
    co_return;
  }
  co_await send_json(response, record, std::move(info->json));
}

}  // namespace

std::vector<Route> model_routes(const Pipeline& pipeline, std::string version, BlockingPool* pool) {
  using http::Request;
  using http::ResponseWriter;
  return {
      described("The models", {"GET", "/v1/models", "",
                               [&pipeline](Request&, ResponseWriter& response, RequestRecord& record) {
                                 return send_json(
                                     response, record,
                                     protocol::openai::models_body(pipeline.cards(record.caller.get())));
                               }}),
      described("A model", {"GET", "/v1/models/", "smollm2-135m-instruct",
                            [&pipeline](Request& request, ResponseWriter& response, RequestRecord& record) {
                              return show_model(pipeline, request, response, record);
                            }}),
      described("A text's tokens",
                {"POST", "/tokenize", " -H 'Content-Type: application/json' -d '{\"prompt\": \"Hello\"}'",
                 [&pipeline, pool](Request& request, ResponseWriter& response, RequestRecord& record) {
                   return tokenize(pipeline, pool, request, response, record);
                 }}),
      described("Tokens as a text",
                {"POST", "/detokenize", " -H 'Content-Type: application/json' -d '{\"tokens\": [1, 2, 3]}'",
                 [&pipeline, pool](Request& request, ResponseWriter& response, RequestRecord& record) {
                   return detokenize(pipeline, pool, request, response, record);
                 }}),
      described("The tokenizer",
                {"GET", "/tokenizer_info", "",
                 [&pipeline](Request& request, ResponseWriter& response, RequestRecord& record) {
                   return tell_tokenizer(pipeline, request, response, record);
                 }}),
      described("The version",
                {"GET", "/version", "",
                 [version = std::move(version)](Request&, ResponseWriter& response, RequestRecord& record) {
                   std::string body = R"({"version":)";
                   append_json_string(body, version);
                   // Open-AutoGLM gateways ask such a server for more than others can do.
                   return send_json(response, record, body + R"(,"server":"open-autoglm"})");
                 }}),
  };
}

}  // namespace autoglm::gateway
