#include "gateway/front/http/responses_routes.h"

#include "base/json_string.h"
#include "gateway/front/http/caller.h"
#include "gateway/front/http/http_sink.h"
#include "gateway/front/http/storing_codec.h"
#include "gateway/protocol/responses/stored.h"

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::string_view kStoredBelow = "/v1/responses/";

/// `body` must stay until the client has it.
Task<void> send_document(http::ResponseWriter& response, RequestRecord& record, std::string_view body) {
  record.status = 200;
  record.complete = true;
  co_await response.send(200, "application/json", body);
}

MonotonicTime now() { return std::chrono::steady_clock::now(); }

/// A path below /v1/responses/: a response, and what is asked of it.
struct StoredPath {
  std::string id;
  std::string_view part;  ///< "input_items", "cancel"; empty: the response itself
};
StoredPath stored_path(const http::Request& request) {
  const std::string_view below = request.path.substr(kStoredBelow.size());
  const std::size_t slash = std::min(below.find('/'), below.size());
  const std::string_view id = below.substr(0, slash);
  return {.id = http::percent_decode(id).value_or(std::string(id)),
          .part = slash == below.size() ? std::string_view() : below.substr(slash + 1)};
}

Error no_such_part(const http::Request& request) {
  return Error{.code = ErrorCode::kNotFound,
               .origin = Origin::kClient,
               .message =
                   "there is nothing at this path; a response has GET and DELETE /v1/responses/ID, GET "
                   "/v1/responses/ID/input_items, POST /v1/responses/ID/cancel",
               .param = {},
               .reason = request.path.empty() ? "" : "unknown_path"};
}

Task<void> show_items(const StoredResponse& stored, http::BodyMemory* memory, const http::Request& request,
                      http::ResponseWriter& response, RequestRecord& record) {
  std::size_t most = 0;
  for (const std::string& item : stored.items) most += item.size();
  http::BodyMemory::Share share(memory);
  if (!share.cover(most)) {
    co_await send_error(response, http::no_answer_memory(), record);
    co_return;
  }
  const auto list = protocol::responses::item_list(stored.items, request.query);
  if (list) {
    co_await send_document(response, record, *list);
  } else {
    co_await send_error(response, list.error(), record);
  }
}

Task<void> show(ResponseStore& store, http::BodyMemory* memory, const http::Request& request,
                http::ResponseWriter& response, RequestRecord& record) {
  const StoredPath path = stored_path(request);
  const auto found = store.find(owner_of(request, record), path.id, now());
  if (!path.part.empty() && path.part != "input_items") {
    co_await send_error(response, no_such_part(request), record);
  } else if (!found) {
    co_await send_error(response, no_such_response(path.id, "response_id"), record);
  } else if (path.part.empty()) {
    co_await send_document(response, record, found->document);
  } else {
    co_await show_items(*found, memory, request, response, record);
  }
}

Task<void> remove(ResponseStore& store, http::BodyMemory* /*memory*/, const http::Request& request,
                  http::ResponseWriter& response, RequestRecord& record) {
  const StoredPath path = stored_path(request);
  if (!path.part.empty()) {
    co_await send_error(response, no_such_part(request), record);
  } else if (!store.erase(owner_of(request, record), path.id, now())) {
    co_await send_error(response, no_such_response(path.id, "response_id"), record);
  } else {
    const std::string body = protocol::responses::deleted_body(path.id);
    co_await send_document(response, record, body);
  }
}

/// What is stored has ended, since nothing is made in the background.
Task<void> cancel(ResponseStore& store, http::BodyMemory* /*memory*/, const http::Request& request,
                  http::ResponseWriter& response, RequestRecord& record) {
  const StoredPath path = stored_path(request);
  Error error = no_such_part(request);
  if (path.part == "cancel") {
    error = no_such_response(path.id, "response_id");
    if (store.find(owner_of(request, record), path.id, now())) {
      error = invalid_field("response_id",
                            "only background responses can be cancelled, and this one has ended; to stop an "
                            "answer that is being made, close its connection",
                            "response_not_cancellable");
    }
  }
  co_await send_error(response, error, record);
}

using StoredAnswer = Task<void> (*)(ResponseStore&, http::BodyMemory*, const http::Request&,
                                    http::ResponseWriter&, RequestRecord&);

Route stored_route(std::string_view method, std::string_view example, std::shared_ptr<ResponseStore> store,
                   std::shared_ptr<http::BodyMemory> memory, StoredAnswer answer) {
  return {method, kStoredBelow, example,
          [store = std::move(store), memory = std::move(memory), answer](
              http::Request& request, http::ResponseWriter& response, RequestRecord& record) {
            return answer(*store, memory.get(), request, response, record);
          }};
}

}  // namespace

std::vector<Route> responses_routes(const Pipeline& pipeline, GenerationSettings settings,
                                    std::shared_ptr<ResponseStore> store) {
  const std::shared_ptr<http::BodyMemory> memory = settings.answer_memory;
  std::vector<Route> routes = {
      {"POST", "/v1/responses", " -H 'Content-Type: application/json' -d '{\"input\": \"Hello\"}'",
       [plain = std::make_shared<const protocol::responses::ResponsesCodec>(), store, &pipeline,
        settings = std::make_shared<const GenerationSettings>(std::move(settings))](
           http::Request& request, http::ResponseWriter& response, RequestRecord& record) -> Task<void> {
         std::shared_ptr<const protocol::Codec> codec = plain;
         if (store)
           codec = std::make_shared<const StoringCodec>(store, settings->answer_memory,
                                                        owner_of(request, record), record.id);
         HttpSink sink(request, response, record);
         GenerationCall call(pipeline, *settings, sink, record);
         co_await call.run(std::move(codec), incoming_call(request, record));
       }}};
  if (store) {
    routes.push_back(stored_route("GET", "resp_1", store, memory, show));
    routes.push_back(stored_route("DELETE", "resp_1", store, memory, remove));
    routes.push_back(stored_route("POST", "resp_1/cancel", store, memory, cancel));
  }
  for (Route& route : routes) {
    route.only_for = [&pipeline](const http::Request& request) {
      return !pipeline.has_model_at(request.path.substr(std::string_view("/v1/").size()));
    };
    route.listed = true;
  }
  return routes;
}

}  // namespace autoglm::gateway
