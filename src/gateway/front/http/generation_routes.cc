#include "gateway/front/http/generation_routes.h"

#include "gateway/front/http/caller.h"
#include "gateway/front/http/long_body.h"
#include "gateway/protocol/openai/chat_codec.h"
#include "gateway/protocol/openai/completions_codec.h"
#include "gateway/protocol/openai/frame.h"
#include "gateway/protocol/openai/outline.h"
#include "gateway/protocol/vllm/generate_codec.h"
#include "gateway/protocol/vllm/load.h"
#include "runtime/race.h"

#include <algorithm>
#include <ctime>
#include <utility>

namespace autoglm::gateway {

namespace {

// Proxies and clients give up on a connection that says nothing for long.
constexpr Duration kKeepAlive = std::chrono::seconds(15);
// Not followed by an empty line: some clients take that for an event without data, when an earlier one had an
// id.
constexpr std::string_view kKeepAliveComment = ": keep-alive\n";

/// Approximate memory of an event that is kept until the answer is whole.
std::size_t size_of(const TokenEvent& event) {
  std::size_t size = event.text.size() + event.reasoning.size() + event.tokens.size() * sizeof(TokenId);
  for (const ToolCallDelta& call : event.tool_calls)
    size += call.id.size() + call.name.size() + call.arguments.size();
  for (const auto* list : {&event.logprobs, &event.prompt_logprobs})
    for (const GeneratedLogprob& each : *list) size += sizeof each + each.top.size() * sizeof(TokenLogprob);
  return size;
}

/// A body as its codec reads it; where the codec refuses it, the outline that an endpoint may judge.
struct ReadBody {
  Result<protocol::DecodedCall> call;
  std::optional<protocol::DecodedCall> outline;
};

ReadBody read_body(const protocol::Codec& codec, WireBody::Protocol protocol, const std::string& body) {
  ReadBody read{.call = codec.decode(body), .outline = {}};
  if (read.call) return read;
  if (auto outline = protocol::openai::outline(codec, protocol, body)) read.outline = std::move(*outline);
  return read;
}

/// One generation, from the body's bytes to the last byte of its answer.
class Generation {
 public:
  Generation(const Pipeline& pipeline, WireBody::Protocol protocol, const GenerationSettings& settings,
             http::ResponseWriter& response, RequestRecord& record)
      : pipeline_(pipeline),
        protocol_(protocol),
        settings_(settings),
        response_(response),
        record_(record),
        memory_(settings.answer_memory.get()),
        began_(std::chrono::steady_clock::now()) {}

  Task<void> run(const std::shared_ptr<const protocol::Codec>& codec, http::Request& request);

 private:
  struct Accepted {
    std::unique_ptr<InferenceRequest> request;
    CallContext context;
    std::int64_t created;
    bool events;  // the answer is a stream of server-sent events
    std::move_only_function<std::unique_ptr<protocol::AnswerEncoder>(protocol::AnswerFacts)> make_encoder;
  };
  Result<Accepted> accept(ReadBody read, http::Request& request);
  // Not inlined: their frames are freed when the answer begins, and would else live as long as the answer.
  [[gnu::noinline]] Task<Result<ReadBody>> read_elsewhere(std::shared_ptr<const protocol::Codec> codec,
                                                          http::Request& request);
  [[gnu::noinline]] Task<bool> open(const std::shared_ptr<const protocol::Codec>& codec,
                                    http::Request& request);
  void tell_origin(const http::Request& request, const Pipeline::Answer& answer);
  Task<Error> keep_alive(Accepted& accepted);
  Task<void> send_failure(const Error& error);
  Task<void> send_whole();
  Task<void> send_stream();
  Task<Result<EventBatch>> next_batch();
  Task<Result<void>> begin_stream();
  void note(const EventBatch& batch);
  bool judged_elsewhere(const std::string& model) const;
  std::optional<std::string> load_header(std::string_view format, const std::string& model) const;

  const Pipeline& pipeline_;
  const WireBody::Protocol protocol_;
  const GenerationSettings& settings_;
  http::ResponseWriter& response_;
  RequestRecord& record_;
  http::BodyMemory::Share memory_;  // of a whole answer; passed-through answers count where they are read
  MonotonicTime began_;
  std::unique_ptr<EventStream> events_;
  std::unique_ptr<protocol::AnswerEncoder> encoder_;
  bool streamed_ = false;
  bool commenting_ = false;  // a comment is on its way to the client
  std::string asked_model_;
  bool tells_usage_ = false;  // in a comment, even when the body did not ask for usage
};

Task<void> Generation::run(const std::shared_ptr<const protocol::Codec>& codec, http::Request& request) {
  if (!co_await open(codec, request)) co_return;
  if (streamed_) {
    co_await send_stream();
  } else {
    co_await send_whole();
  }
}

/// The request for the pipeline, and what it takes to write the answer.
Result<Generation::Accepted> Generation::accept(ReadBody read, http::Request& request) {
  auto& call = read.call;
  if (!call) {
    if (!read.outline || !judged_elsewhere(read.outline->model)) return fail(std::move(call).error());
    call = std::move(*read.outline);
  }
  if (call->unknown_fields > 0) settings_.ignored_fields.add(call->unknown_fields);
  const std::int64_t created = call->created.value_or(std::time(nullptr));
  streamed_ = call->stream;
  tells_usage_ = call->protocol != WireBody::Protocol::kGenerate &&
                 request.headers.find("x-autoglm-tell-usage").has_value();
  return Accepted{.request = std::make_unique<InferenceRequest>(
                      InferenceRequest{.id = record_.id,
                                       .model = std::move(call->model),
                                       .work = std::move(call->work),
                                       .wire = {.protocol = call->protocol,
                                                .stream = call->stream,
                                                .bytes = std::move(request.body),
                                                .query = std::string(request.query),
                                                .opaque = call->opaque},
                                       .created = created}),
                  .context = {.deadline = deadline_of(request),
                              .tenant = tenant_of(request),
                              .priority = call->priority,
                              .span = record_.span},
                  .created = created,
                  .events = call->stream && call->protocol != WireBody::Protocol::kGenerate,
                  .make_encoder = std::move(call->make_encoder)};
}

Task<Result<ReadBody>> Generation::read_elsewhere(std::shared_ptr<const protocol::Codec> codec,
                                                  http::Request& request) {
  co_return co_await read_on_pool(*settings_.pool, request.body, tenant_of(request),
                                  [codec = std::move(codec), protocol = protocol_](const std::string& body) {
                                    return read_body(*codec, protocol, body);
                                  });
}

/// Runs up to the answer's beginning; false when an error has been sent.
Task<bool> Generation::open(const std::shared_ptr<const protocol::Codec>& codec, http::Request& request) {
  const bool elsewhere = settings_.pool != nullptr && is_long(request.body);
  Result<ReadBody> read =
      elsewhere ? co_await read_elsewhere(codec, request) : read_body(*codec, protocol_, request.body);
  auto accepted = read ? accept(std::move(*read), request) : Result<Accepted>(fail(std::move(read).error()));
  if (!accepted) {
    co_await send_error(response_, accepted.error(), record_);
    co_return false;
  }
  asked_model_ = accepted->request->model;
  auto asked = pipeline_.generate(std::move(accepted->request), std::move(accepted->context));
  Result<Pipeline::Answer> answer = fail(Error{});
  if (accepted->events) {
    auto first = co_await first_of(std::move(asked), keep_alive(*accepted));
    if (first.index() == 1 || commenting_) {
      record_.error = "the client does not take what it is sent";
      co_return false;
    }
    answer = std::move(std::get<0>(first));
  } else {
    answer = co_await std::move(asked);
  }
  if (!answer) {
    if (response_.started()) {
      co_await send_failure(answer.error());
    } else {
      co_await send_error(response_, answer.error(), record_);
    }
    co_return false;
  }
  record_.model = answer->model;
  if (!response_.started()) tell_origin(request, *answer);
  events_ = std::move(answer->events);
  encoder_ = accepted->make_encoder({.id = record_.id,
                                     .model = std::move(answer->model),
                                     .created = accepted->created,
                                     .fingerprint = settings_.fingerprint});
  co_return true;
}

/// Adds headers that name the endpoint and its load.
void Generation::tell_origin(const http::Request& request, const Pipeline::Answer& answer) {
  if (const auto format = request.headers.find("endpoint-load-metrics-format")) {
    if (auto load = load_header(*format, answer.model)) response_.add_header("endpoint-load-metrics", *load);
  }
  if (const StreamOrigin* origin = answer.events->origin()) {
    say_origin(response_, *origin, streamed_);
  }
}

/// Sends keep-alive comments until the answer begins; returns the error of a client that is gone.
Task<Error> Generation::keep_alive(Accepted& accepted) {
  while (true) {
    co_await sleep_for(kKeepAlive);
    if (!response_.started()) {
      encoder_ = accepted.make_encoder({.id = record_.id,
                                        .model = asked_model_,
                                        .created = accepted.created,
                                        .fingerprint = settings_.fingerprint});
      if (auto begun = co_await begin_stream(); !begun) co_return begun.error();
    }
    commenting_ = true;
    if (auto written = co_await response_.write(kKeepAliveComment); !written) co_return written.error();
    commenting_ = false;
  }
}

/// The last event of a stream that has begun.
Task<void> Generation::send_failure(const Error& error) {
  std::string frames;
  record_.error = error.log_message();
  encoder_->failure(error, frames);
  if (co_await response_.write(frames)) co_await response_.finish();
}

/// Whether the model's endpoints, and not this process, judge what is wrong with a body.
bool Generation::judged_elsewhere(const std::string& model) const {
  const auto found = pipeline_.models().of_loop(EventLoop::current().index())->find(model);
  return found && (*found)->endpoint->judges_bodies();
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
    record_.endpoint = origin->endpoint;  // another endpoint may have continued the answer
    record_.attempts = origin->attempts;
  }
}

Task<void> Generation::send_whole() {
  std::string body;
  std::size_t kept = 0;  // by the encoder
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
      for (const TokenEvent& event : batch->events) kept += size_of(event);
      if (!memory_.cover(body.capacity() + kept)) {
        events_.reset();  // the rest will not be read
        co_await send_error(response_, http::no_answer_memory(), record_);
        co_return;
      }
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
  response_.add_header("X-Accel-Buffering", "no");  // an nginx in front of us must not hold events back
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
      co_await send_failure(batch.error());
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
      record_.error = written.error().message;  // the client is gone, or too slow
      co_return;
    }
    if (batch->last()) {
      if (co_await response_.finish()) record_.complete = true;
      co_return;
    }
  }
}

Route generation_route(std::string_view path, std::string_view example,
                       std::shared_ptr<const protocol::Codec> codec, WireBody::Protocol protocol,
                       const Pipeline& pipeline, std::shared_ptr<const GenerationSettings> settings) {
  return {"POST", path, example,
          [codec = std::move(codec), protocol, &pipeline, settings = std::move(settings)](
              http::Request& request, http::ResponseWriter& response, RequestRecord& record) -> Task<void> {
            Generation generation(pipeline, protocol, *settings, response, record);
            co_await generation.run(codec, request);
          }};
}

}  // namespace

std::vector<Route> generation_routes(const Pipeline& pipeline, GenerationSettings settings) {
  namespace openai = protocol::openai;
  const auto shared = std::make_shared<const GenerationSettings>(std::move(settings));
  return {
      generation_route(
          "/v1/completions",
          " -H 'Content-Type: application/json' -d '{\"prompt\": \"Hello\", \"max_tokens\": 50}'",
          std::make_shared<openai::CompletionsCodec>(), WireBody::Protocol::kCompletions, pipeline, shared),
      generation_route("/v1/chat/completions",
                       " -H 'Content-Type: application/json' -d '{\"messages\": [{\"role\": \"user\", "
                       "\"content\": \"Hello\"}]}'",
                       std::make_shared<openai::ChatCodec>(), WireBody::Protocol::kChat, pipeline, shared),
      generation_route(
          "/generate",
          " -H 'Content-Type: application/json' -d '{\"prompt\": \"Hello\", \"max_tokens\": 50}'",
          std::make_shared<protocol::vllm::GenerateCodec>(), WireBody::Protocol::kGenerate, pipeline, shared),
  };
}

}  // namespace autoglm::gateway
