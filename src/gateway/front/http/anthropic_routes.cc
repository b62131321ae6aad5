#include "gateway/front/http/anthropic_routes.h"

#include "gateway/front/call/long_body.h"
#include "gateway/front/http/caller.h"
#include "gateway/front/http/http_sink.h"
#include "gateway/protocol/anthropic/messages_codec.h"

#include <utility>

namespace autoglm::gateway {

namespace {

namespace anthropic = protocol::anthropic;

constexpr std::string_view kExample =
    " -H 'Content-Type: application/json' -d '{\"max_tokens\": 50, \"messages\": [{\"role\": \"user\", "
    "\"content\": \"Hello\"}]}'";

/// Where Anthropic's clients look for it.
void tell_id(http::ResponseWriter& response, const CallRecord& record) {
  response.add_header("request-id", record.id);
}

Task<void> send_error_of(http::ResponseWriter& response, const Error& error, CallRecord& record) {
  return send_error(response, error, record, anthropic::error_body(error));
}

Task<Result<anthropic::CountTokensCall>> read(BlockingPool* pool, http::Request& request) {
  if (pool == nullptr || !is_long(request.body)) co_return anthropic::decode_count_tokens(request.body);
  auto read = co_await read_on_pool(*pool, request.body, tenant_of(request), [](const std::string& body) {
    return anthropic::decode_count_tokens(body);
  });
  if (!read) co_return fail(std::move(read).error());
  co_return std::move(*read);
}

Task<void> count_tokens(const Pipeline& pipeline, BlockingPool* pool, http::Request& request,
                        http::ResponseWriter& response, RequestRecord& record) {
  tell_id(response, record);
  auto call = co_await read(pool, request);
  if (!call) {
    co_await send_error_of(response, call.error(), record);
    co_return;
  }
  const auto result =
      co_await pipeline.call(std::move(call->model), std::move(call->work), context_of(request, record));
  if (!result) {
    co_await send_error_of(response, result.error(), record);
    co_return;
  }
  record.status = 200;
  record.complete = true;
  co_await response.send(200, "application/json", anthropic::count_tokens_body(*result));
}

}  // namespace

std::vector<Route> anthropic_routes(const Pipeline& pipeline,
                                    std::shared_ptr<const GenerationSettings> settings) {
  BlockingPool* const pool = settings->pool;
  std::vector<Route> routes = {
      {"POST", "/v1/messages", kExample,
       [codec = std::make_shared<const anthropic::MessagesCodec>(), &pipeline,
        settings = std::move(settings)](http::Request& request, http::ResponseWriter& response,
                                        RequestRecord& record) -> Task<void> {
         tell_id(response, record);
         HttpSink sink(request, response, record);
         GenerationCall call(pipeline, *settings, sink, record);
         co_await call.run(codec, incoming_call(request, record));
       }},
      {"POST", "/v1/messages/count_tokens", kExample,
       [&pipeline, pool](http::Request& request, http::ResponseWriter& response, RequestRecord& record) {
         return count_tokens(pipeline, pool, request, response, record);
       }}};
  for (Route& route : routes) {
    route.error_body = anthropic::error_body;
    route.only_for = [&pipeline](const http::Request& request) {
      return !pipeline.has_model_at(request.path.substr(std::string_view("/v1/").size()));
    };
    route.listed = true;
  }
  return routes;
}

}  // namespace autoglm::gateway
