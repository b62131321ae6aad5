#include "gateway/front/http/front.h"
#include "gateway/protocol/openai/chat_codec.h"
#include "gateway/protocol/openai/completions_codec.h"
#include "gateway/protocol/openai/frame.h"
#include "gateway/protocol/vllm/generate_codec.h"
#include "gateway/protocol/vllm/load.h"
#include "runtime/race.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <utility>

namespace autoglm::gateway {

namespace {

// Proxies and clients give up on a connection that says nothing for long.
constexpr Duration kKeepAlive = std::chrono::seconds(15);
constexpr std::int64_t kLongestWait = std::int64_t{7} * 24 * 3600 * 1000;  // a week, in milliseconds
constexpr std::string_view kKeepAliveComment = ": keep-alive\n\n";

/// Whose turn it is among equals: whoever shares a certificate's name, or a key. A certificate goes first:
/// headers can be made up, and each would be another turn.
std::string tenant_of(const http::Request& request) {
  if (!request.client_identity.empty()) return request.client_identity;
  for (const std::string_view name : {"authorization", "x-api-key"}) {
    if (const auto value = request.headers.find(name)) return std::string(*value);
  }
  return {};
}

/// How long the caller waits for an answer, of a stream for its first token; it only shortens what is
/// configured. A gateway of ours says so, and so may clients.
Deadline deadline_of(const http::Request& request) {
  const auto text = request.headers.find("x-autoglm-timeout-ms");
  std::int64_t milliseconds = 0;
  if (!text) return Deadline::never();
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), milliseconds);
  if (error != std::errc() || end != text->data() + text->size() || milliseconds < 0)
    return Deadline::never();
  return Deadline::after(std::chrono::milliseconds(std::min(milliseconds, kLongestWait)));
}

/// One generation, from the body's bytes to the last byte of its answer.
class Generation {
 public:
  Generation(const Pipeline& pipeline, http::ResponseWriter& response, RequestRecord& record)
      : pipeline_(pipeline), response_(response), record_(record), began_(std::chrono::steady_clock::now()) {}

  Task<void> run(const protocol::Codec& codec, http::Request& request, observe::Counter& ignored_fields);

 private:
  struct Accepted {
    std::unique_ptr<InferenceRequest> request;
    CallContext context;
    std::int64_t created;
    std::move_only_function<std::unique_ptr<protocol::AnswerEncoder>(protocol::AnswerFacts)> make_encoder;
  };
  Result<Accepted> accept(const protocol::Codec& codec, http::Request& request,
                          observe::Counter& ignored_fields);
  // Its frame goes when the answer begins; inlined it would stay as long as that.
  [[gnu::noinline]] Task<bool> open(const protocol::Codec& codec, http::Request& request,
                                    observe::Counter& ignored_fields);
  Task<void> send_whole();
  Task<void> send_stream();
  Task<Result<EventBatch>> next_batch();
  Task<Result<void>> begin_stream();
  void note(const EventBatch& batch);
  std::optional<std::string> load_header(std::string_view format, const std::string& model) const;

  const Pipeline& pipeline_;
  http::ResponseWriter& response_;
  RequestRecord& record_;
  MonotonicTime began_;
  std::unique_ptr<EventStream> events_;
  std::unique_ptr<protocol::AnswerEncoder> encoder_;
  bool streamed_ = false;
  bool tells_usage_ = false;  // in a comment, also when the body did not ask for it
};

Task<void> Generation::run(const protocol::Codec& codec, http::Request& request,
                           observe::Counter& ignored_fields) {
  if (!co_await open(codec, request, ignored_fields)) co_return;
  if (streamed_) {
    co_await send_stream();
  } else {
    co_await send_whole();
  }
}

/// The request for the pipeline, and what it takes to write the answer.
Result<Generation::Accepted> Generation::accept(const protocol::Codec& codec, http::Request& request,
                                                observe::Counter& ignored_fields) {
  auto call = codec.decode(request.body);
  if (!call) return fail(std::move(call).error());
  if (call->unknown_fields > 0) ignored_fields.add(call->unknown_fields);
  const std::int64_t created = call->created.value_or(std::time(nullptr));
  streamed_ = call->stream;
  tells_usage_ = call->protocol != WireBody::Protocol::kGenerate &&
                 request.headers.find("x-autoglm-tell-usage").has_value();
  return Accepted{
      .request = std::make_unique<InferenceRequest>(InferenceRequest{
          .id = record_.id,
          .model = std::move(call->model),
          .work = std::move(call->work),
          .wire = {.protocol = call->protocol, .stream = call->stream, .bytes = std::move(request.body)},
          .created = created}),
      .context = {.deadline = deadline_of(request),
                  .tenant = tenant_of(request),
                  .priority = call->priority,
                  .span = record_.span},
      .created = created,
      .make_encoder = std::move(call->make_encoder)};
}

/// Up to where the answer begins; false when an error has been sent.
Task<bool> Generation::open(const protocol::Codec& codec, http::Request& request,
                            observe::Counter& ignored_fields) {
  auto accepted = accept(codec, request, ignored_fields);
  if (!accepted) {
    co_await send_error(response_, accepted.error(), record_);
    co_return false;
  }
  auto answer = co_await pipeline_.generate(std::move(accepted->request), std::move(accepted->context));
  if (!answer) {
    co_await send_error(response_, answer.error(), record_);
    co_return false;
  }
  record_.model = answer->model;
  if (const auto format = request.headers.find("endpoint-load-metrics-format")) {
    if (auto load = load_header(*format, answer->model)) response_.add_header("endpoint-load-metrics", *load);
  }
  if (const StreamOrigin* origin = answer->events->origin()) {
    response_.add_header("x-autoglm-endpoint", origin->endpoint);
    response_.add_header("x-autoglm-attempts", std::to_string(origin->attempts));
    if (!origin->fallback.empty()) response_.add_header("x-autoglm-fallback", origin->fallback);
  }
  events_ = std::move(answer->events);
  encoder_ = accepted->make_encoder(
      {.id = record_.id, .model = std::move(answer->model), .created = accepted->created});
  co_return true;
}

std::optional<std::string> Generation::load_header(std::string_view format, const std::string& model) const {
  const auto directory = pipeline_.models().now();
  const auto found = directory->find(model);
  return found ? protocol::vllm::load_header(format, (*found)->endpoint->load()) : std::nullopt;
}

void Generation::note(const EventBatch& batch) {
  if (record_.first_token == Duration::zero() && (!batch.events.empty() || batch.last())) {
    record_.first_token = std::chrono::steady_clock::now() - began_;
  }
  if (batch.usage) record_.usage = *batch.usage;
  if (const StreamOrigin* origin = events_->origin();
      origin != nullptr && origin->attempts != record_.attempts) {
    record_.endpoint = origin->endpoint;  // another one may have gone on
    record_.attempts = origin->attempts;
  }
}

Task<void> Generation::send_whole() {
  std::string body;
  while (true) {
    auto batch = co_await events_->next();
    if (!batch) {
      co_await send_error(response_, batch.error(), record_);
      co_return;
    }
    note(*batch);
    if (batch->raw.empty()) {
      encoder_->events(*batch, body);
      if (batch->last()) encoder_->end(*batch->usage, body);
    } else {
      if (body.empty()) {
        body = std::move(batch->raw);
      } else {
        body += batch->raw;
      }
    }
    if (!batch->last()) continue;
    if (co_await response_.send(200, encoder_->content_type(), body)) {
      record_.status = 200;
      record_.complete = true;
    }
    co_return;
  }
}

Task<Result<void>> Generation::begin_stream() {
  record_.status = 200;
  response_.add_header("Cache-Control", "no-cache");
  response_.add_header("X-Accel-Buffering", "no");  // nginx before us must not hold events back
  return response_.start(200, encoder_->content_type());
}

/// The next events; comments go out while there are none for long.
Task<Result<EventBatch>> Generation::next_batch() {
  while (true) {
    auto first = co_await first_of(events_->next(), []() -> Task<void> { co_await sleep_for(kKeepAlive); }());
    if (first.index() == 0) co_return std::move(std::get<0>(first));
    if (!encoder_->content_type().starts_with("text/event-stream")) continue;
    if (!response_.started()) {
      if (auto begun = co_await begin_stream(); !begun) co_return fail(begun.error());
    }
    if (auto written = co_await response_.write(kKeepAliveComment); !written) co_return fail(written.error());
  }
}

Task<void> Generation::send_stream() {
  std::string frames;
  while (true) {
    auto batch = co_await next_batch();
    // Until the first byte has gone out, a failure can still have a status of its own.
    if (!batch && !response_.started()) {
      co_await send_error(response_, batch.error(), record_);
      co_return;
    }
    if (!response_.started()) {
      if (!co_await begin_stream()) co_return;
    }
    frames.clear();
    if (!batch) {
      record_.error = batch.error().message;
      encoder_->failure(batch.error(), frames);
      if (co_await response_.write(frames)) co_await response_.finish();
      co_return;
    }
    note(*batch);
    if (batch->raw.empty()) {
      encoder_->events(*batch, frames);
      if (batch->last() && tells_usage_) frames += protocol::openai::usage_comment(*batch->usage);
      if (batch->last()) encoder_->end(*batch->usage, frames);
    } else {
      frames = std::move(batch->raw);
      encoder_->passed(*batch);
    }
    if (auto written = co_await response_.write(frames); !written) {
      record_.error = written.error().message;  // the reader is gone, or too slow
      co_return;
    }
    if (batch->last()) {
      if (co_await response_.finish()) record_.complete = true;
      co_return;
    }
  }
}

Route generation_route(std::string_view path, std::string_view example,
                       std::shared_ptr<const protocol::Codec> codec, const Pipeline& pipeline,
                       observe::Counter& ignored_fields) {
  return {"POST", path, example,
          [codec = std::move(codec), &pipeline, &ignored_fields](
              http::Request& request, http::ResponseWriter& response, RequestRecord& record) -> Task<void> {
            Generation generation(pipeline, response, record);
            co_await generation.run(*codec, request, ignored_fields);
          }};
}

}  // namespace

std::vector<Route> generation_routes(const Pipeline& pipeline, observe::Counter& ignored_fields) {
  namespace openai = protocol::openai;
  return {
      generation_route(
          "/v1/completions",
          " -H 'Content-Type: application/json' -d '{\"prompt\": \"Hello\", \"max_tokens\": 50}'",
          std::make_shared<openai::CompletionsCodec>(), pipeline, ignored_fields),
      generation_route("/v1/chat/completions",
                       " -H 'Content-Type: application/json' -d '{\"messages\": [{\"role\": \"user\", "
                       "\"content\": \"Hello\"}]}'",
                       std::make_shared<openai::ChatCodec>(), pipeline, ignored_fields),
      generation_route(
          "/generate",
          " -H 'Content-Type: application/json' -d '{\"prompt\": \"Hello\", \"max_tokens\": 50}'",
          std::make_shared<protocol::vllm::GenerateCodec>(), pipeline, ignored_fields),
  };
}

}  // namespace autoglm::gateway
