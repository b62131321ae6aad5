#include "gateway/front/http/llama_routes.h"

#include "gateway/front/http/caller.h"
#include "gateway/front/http/generation_routes.h"
#include "gateway/protocol/llama/completion_codec.h"
#include "gateway/protocol/llama/props.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace autoglm::gateway {

namespace {

namespace llama = protocol::llama;
using http::Request;
using http::ResponseWriter;

/// The value of a parameter in the address; empty: it is absent.
std::string parameter(const Request& request, std::string_view name) {
  std::string_view rest = request.query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    if (pair.starts_with(name) && pair.substr(name.size()).starts_with('='))
      return http::percent_decode(pair.substr(name.size() + 1)).value_or("");
  }
  return {};
}

/// The model that both answers are about.
struct Shown {
  std::shared_ptr<Endpoint> endpoint;
  ModelCard card;
};
Result<Shown> shown_of(const Pipeline& pipeline, const Request& request, const RequestRecord& record) {
  const std::string name = parameter(request, "model");
  const auto models = pipeline.models().now();
  const auto found = models->find(name, record.caller.get());
  if (!found) return fail(found.error());
  Shown shown{(*found)->endpoint, (*found)->endpoint->card()};
  shown.card.name = (*found)->name;
  return shown;
}

Task<void> show_props(const Pipeline& pipeline, const std::string& build, const Request& request,
                      ResponseWriter& response, RequestRecord& record) {
  const auto shown = shown_of(pipeline, request, record);
  if (!shown) {
    co_await send_error(response, shown.error(), record, llama::error_body(shown.error()));
    co_return;
  }
  // Servers elsewhere tell nothing of their tokenizers.
  const auto info =
      co_await pipeline.call(shown->card.name, TokenizerInfoRequest(), context_of(request, record));
  co_await send_json(response, record,
                     llama::props_body(shown->card, shown->endpoint->load(),
                                       info ? std::string_view(info->json) : "", build));
}

Task<void> show_slots(const Pipeline& pipeline, const Request& request, ResponseWriter& response,
                      RequestRecord& record) {
  const auto shown = shown_of(pipeline, request, record);
  if (!shown) {
    co_await send_error(response, shown.error(), record, llama::error_body(shown.error()));
    co_return;
  }
  const LoadReport load = shown->endpoint->load();
  if (!parameter(request, "fail_on_no_slot").empty() && load.running >= load.max_running) {
    const Error error{.code = ErrorCode::kUnavailable, .message = "no slot is free", .reason = "no_slot"};
    co_await send_error(response, error, record, llama::error_body(error));
    co_return;
  }
  co_await send_json(response, record, llama::slots_body(shown->card, load));
}

}  // namespace

std::vector<Route> llama_routes(const Pipeline& pipeline,
                                const std::shared_ptr<const GenerationSettings>& settings,
                                std::string build) {
  return {
      described("A completion, as llama-server has it",
                generation_route(
                    "/completion",
                    " -H 'Content-Type: application/json' -d '{\"prompt\": \"Hello\", \"n_predict\": 50}'",
                    std::make_shared<llama::CompletionCodec>(), pipeline, settings, llama::error_body)),
      described(
          "The text between two others, for editors",
          generation_route("/infill",
                           " -H 'Content-Type: application/json' -d '{\"input_prefix\": \"def f(\", "
                           "\"input_suffix\": \"return x\", \"n_predict\": 50}'",
                           std::make_shared<llama::InfillCodec>(), pipeline, settings, llama::error_body)),
      {.method = "GET",
       .path = "/props",
       .example = "",
       .answer =
           [&pipeline, build = std::move(build)](Request& request, ResponseWriter& response,
                                                 RequestRecord& record) {
             return show_props(pipeline, build, request, response, record);
           },
       .error_body = llama::error_body,
       .summary = "A model and its defaults, as llama-server shows them"},
      {.method = "GET",
       .path = "/slots",
       .example = "",
       .answer = [&pipeline](
                     Request& request, ResponseWriter& response,
                     RequestRecord& record) { return show_slots(pipeline, request, response, record); },
       .error_body = llama::error_body,
       .summary = "What runs, as llama-server shows it"},
  };
}

}  // namespace autoglm::gateway
