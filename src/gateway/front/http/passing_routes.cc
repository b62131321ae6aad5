#include "gateway/front/http/passing_routes.h"

#include "gateway/front/call/long_body.h"
#include "gateway/front/http/caller.h"
#include "gateway/protocol/openai/outline.h"

#include <fmt/format.h>

#include <array>
#include <ctime>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::string_view kBelow = "/v1/";

std::string_view path_below(const http::Request& request) { return request.path.substr(kBelow.size()); }

/// The client's headers that an endpoint gets: about the body, the wanted answer, and options of the API.
std::vector<std::pair<std::string, std::string>> heard(const http::HeaderView& headers) {
  constexpr std::array<std::string_view, 5> kHeard = {"content-type", "accept", "openai-beta",
                                                      "anthropic-version", "anthropic-beta"};
  std::vector<std::pair<std::string, std::string>> fields;
  for (const std::string_view name : kHeard) {
    if (const auto value = headers.find(name)) fields.emplace_back(name, *value);
  }
  return fields;
}

Task<void> send_answer(EventStream& events, bool streamed, http::ResponseWriter& response,
                       RequestRecord& record) {
  const StreamOrigin* origin = events.origin();
  const EndpointAnswer none{
      .status = 200, .type = {}, .body = {}, .content_type = "application/json", .headers = {}};
  const EndpointAnswer& head = origin != nullptr && origin->answer ? *origin->answer : none;
  if (origin != nullptr) {
    say_origin(response, *origin, false);
    record.endpoint = origin->endpoint;
    record.attempts = origin->attempts;
  }
  while (true) {
    auto batch = co_await events.next();
    if (!batch && !response.started()) {
      co_await send_error(response, batch.error(), record);
      co_return;
    }
    if (!batch) {
      record.error = batch.error().log_message();  // the client sees that its answer has no end
      co_return;
    }
    record.status = head.status;
    if (!streamed) {
      if (co_await response.send(head.status, head.content_type, batch->raw)) record.complete = true;
      co_return;
    }
    if (!response.started()) {
      if (!co_await response.start(head.status, head.content_type)) co_return;
    }
    if (!co_await response.write(batch->raw)) co_return;
    if (!batch->last()) continue;
    if (co_await response.finish()) record.complete = true;
    co_return;
  }
}

Task<Result<protocol::openai::PassedFacts>> read_elsewhere(BlockingPool& pool, http::Request& request) {
  const std::string type(request.headers.find("content-type").value_or(""));
  auto read = co_await read_on_pool(pool, request.body, tenant_of(request), [type](const std::string& body) {
    return protocol::openai::read_passed(type, body);
  });
  if (!read) co_return fail(std::move(read).error());
  co_return std::move(*read);
}

/// The answer to a TRACE is the request as the server got it, with our key; a CONNECT asks for a tunnel.
Error not_passed(std::string_view method) {
  return Error{.code = ErrorCode::kMethodNotAllowed,
               .origin = Origin::kClient,
               .message = fmt::format("{} is not passed to the model's servers", method),
               .reason = "method_not_allowed"};
}

Task<void> pass(const Pipeline& pipeline, BlockingPool* pool, http::Request& request,
                http::ResponseWriter& response, RequestRecord& record) {
  if (request.method == "TRACE" || request.method == "CONNECT") {
    co_await send_error(response, not_passed(request.method), record);
    co_return;
  }
  const std::string_view path = path_below(request);
  Result<protocol::openai::PassedFacts> read;
  if (pool != nullptr && is_long(request.body)) {
    read = co_await read_elsewhere(*pool, request);
  } else {
    read = protocol::openai::read_passed(request.headers.find("content-type").value_or(""), request.body);
  }
  if (!read) {
    co_await send_error(response, read.error(), record);
    co_return;
  }
  auto& facts = *read;
  auto model = pipeline.model_at(path, facts.model, record.caller.get());
  if (!model) {
    co_await send_error(response, model.error(), record);
    co_return;
  }
  record.model = *model;
  const bool names_model = !facts.model.empty();
  auto passed = std::make_unique<InferenceRequest>(
      InferenceRequest{.id = record.id,
                       .model = std::move(*model),
                       .work = OpaqueRequest{.method = std::string(request.method),
                                             .path = std::string(path),
                                             .headers = heard(request.headers)},
                       .wire = {.protocol = WireBody::Protocol::kPassed,
                                .stream = facts.stream,
                                .bytes = std::move(request.body),
                                .names_model = names_model,
                                .query = std::string(request.query)},
                       .created = std::time(nullptr)});
  auto answer = co_await pipeline.generate(std::move(passed), context_of(request, record));
  if (!answer) {
    co_await send_error(response, answer.error(), record);
    co_return;
  }
  co_await send_answer(*answer->events, facts.stream, response, record);
}

}  // namespace

std::vector<Route> passing_routes(const Pipeline& pipeline, BlockingPool* pool) {
  return {{"", kBelow, "",
           [&pipeline, pool](http::Request& request, http::ResponseWriter& response, RequestRecord& record) {
             return pass(pipeline, pool, request, response, record);
           },
           [&pipeline](const http::Request& request) { return pipeline.has_model_at(path_below(request)); }}};
}

}  // namespace autoglm::gateway
