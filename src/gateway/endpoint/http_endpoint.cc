#include "gateway/endpoint/http_endpoint.h"

#include "gateway/endpoint/pass_through_stream.h"
#include "gateway/endpoint/passing_headers.h"
#include "gateway/endpoint/translated_stream.h"
#include "gateway/endpoint/unaddressed.h"
#include "gateway/protocol/openai/client_codec.h"
#include "gateway/protocol/openai/continuation.h"
#include "gateway/protocol/openai/frame.h"
#include "gateway/protocol/openai/request_body.h"
#include "gateway/protocol/vllm/tokenize.h"
#include "http/retry_after.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <utility>

namespace autoglm::gateway {

namespace {

using Protocol = WireBody::Protocol;

constexpr std::size_t kMaxErrorBody = 65'536;
// The part of this server times out a little later than we do, since our error names the setting.
constexpr auto kLater = std::chrono::milliseconds(100);
constexpr std::size_t kMaxMetrics = std::size_t{8} << 20U;
constexpr Duration kInfoTime = std::chrono::seconds(5);

Error not_here() {
  return Error{
      .code = ErrorCode::kUnimplemented,
      .message = "a model's tokenizer cannot be reached through a gateway yet: ask the model's own server"};
}

/// The continuation that an answer which has begun needs of the endpoint.
Continuation needed(const InferenceRequest& request) {
  const GenerateRequest* work = request.generation();
  if (work == nullptr || (!request.wire.stream && request.wire.protocol != Protocol::kNone))
    return Continuation::kNone;
  if (!work->resume.empty()) return Continuation::kExact;
  return work->resume_text.empty() ? Continuation::kNone : Continuation::kText;
}

/// Whether the client chose a path that a well-configured server may not have: one that is unknown here, or
/// of vectors and scores, which most models do not give.
bool chose_path(const InferenceRequest& request) {
  const Protocol protocol = request.wire.protocol;
  return protocol == Protocol::kPassed || protocol == Protocol::kEmbeddings ||
         protocol == Protocol::kRerank || protocol == Protocol::kScore ||
         std::holds_alternative<EmbedRequest>(request.work) ||
         std::holds_alternative<ScoreRequest>(request.work);
}

}  // namespace

http::Url root_of(http::Url api) {
  constexpr std::string_view kVersion = "/v1";
  const std::size_t path = api.path().size();
  if (api.path().ends_with(kVersion)) api.target.erase(path - kVersion.size(), kVersion.size());
  if (!api.target.starts_with('/')) api.target.insert(0, 1, '/');
  return api;
}

HttpEndpoint::HttpEndpoint(HttpEndpointOptions options, HttpClients& clients)
    : options_(std::move(options)),
      codec_(options_.codec != nullptr ? options_.codec
                                       : std::make_shared<const protocol::openai::OpenAiClient>()),
      root_(root_of(options_.url)),
      clients_(clients) {
  http::ClientRequest any{.url = options_.url, .headers = {}};
  any.tls = options_.tls;
  any.tls_name = options_.tls_name;
  for (const auto& [name, value] : options_.headers) {
    if (!http::equals_ignoring_case(name, "accept-encoding"))
      any.headers.add(name, value);  // the gateway reads the answers
  }
  for (const auto& [name, value] : codec_->headers(options_.api_key)) {
    const auto is_configured = [&name](const auto& header) {
      return http::equals_ignoring_case(header.first, name);
    };
    if (std::ranges::none_of(options_.headers, is_configured)) any.headers.add(name, value);
  }
  http::OriginHead head = any.origin_head();
  head.lines.add(any.headers);
  get_head_ = std::make_shared<const http::OriginHead>(head);
  head.lines.add("Content-Type", "application/json");
  if (codec_->has_kinds()) chat_target_ = options_.url.below(protocol::openai::request_path(Protocol::kChat));
  post_head_ = std::make_shared<const http::OriginHead>(std::move(head));
}

LoadReport HttpEndpoint::load() const {
  return {.running = running_.load(std::memory_order_relaxed),
          .waiting = waiting_.load(std::memory_order_relaxed)};
}

http::ClientRequest HttpEndpoint::to(std::string method, std::string target) const {
  http::ClientRequest request{.method = std::move(method), .url = options_.url};
  request.origin = request.method == "POST" ? post_head_ : get_head_;
  request.url.target = std::move(target);
  request.tls = options_.tls;
  request.tls_name = options_.tls_name;
  request.dialer = options_.dialer;
  request.connect_timeout = options_.connect_timeout;
  request.reuse_time = options_.reuse_time;
  return request;
}

std::string HttpEndpoint::target_for(const InferenceRequest& request) const {
  const WireBody& wire = request.wire;
  if (wire.protocol == Protocol::kChat && wire.query.empty() && !chat_target_.empty())
    return chat_target_;  // as nearly always
  const protocol::EndpointPath to = codec_->passing_path(request, {.model = options_.model});
  return (to.from_root ? root_ : options_.url).below(to.path, wire.query);
}

Task<Result<std::unique_ptr<EventStream>>> HttpEndpoint::generate(InferenceRequestPtr request,
                                                                  const CallContext& context) {
  const WireBody& wire = request->wire;
  // Read once: a check may find another server at this address at any time.
  const ServerKind kind = this->kind();
  if (continuation(*request, kind) < needed(*request)) {
    co_return fail(Error{.code = ErrorCode::kUnavailable,
                         .origin = Origin::kEndpoint,
                         .retry = Retry::kElsewhere,
                         .message = "the endpoint cannot go on with an answer that is begun",
                         .reason = "no_resume"});
  }
  if (!codec_->passes(wire.protocol)) {
    auto translating = translate(std::move(request), context, kind);
    co_return co_await std::move(translating);
  }
  const GenerateRequest* work = request->generation();
  const bool ours = kind == ServerKind::kOurs && work != nullptr;
  PassThroughStream::Shape shape{.protocol = wire.protocol,
                                 .stream = wire.stream,
                                 .frames = {.whole_steps = ours && options_.ask_tokens && wire.stream &&
                                                           wire.protocol != Protocol::kGenerate,
                                            .choices = std::numeric_limits<std::uint32_t>::max()}};
  if (work != nullptr) {
    shape.frames.choices = work->choices();
    shape.frames.resumed = !work->resume.empty();
    for (const auto& tokens : work->resume) shape.frames.said += static_cast<std::uint32_t>(tokens.size());
  }
  auto call = outgoing(*request, context, ours);
  if (!call) co_return fail(std::move(call).error());
  auto sending = clients_.of_this_loop().send(std::move(*call));
  auto response = co_await std::move(sending);
  if (!response) co_return fail(unaddressed(std::move(response).error()));
  if (auto readable = (*response)->unpack(); !readable)
    co_return fail(unaddressed(std::move(readable).error()));
  const int status = (*response)->status();
  if (wire.protocol == Protocol::kPassed ? status / 100 != 2 : status != 200)
    co_return fail(co_await read_refusal(**response, chose_path(*request), false));
  co_return std::make_unique<PassThroughStream>(std::move(*response), shape, clients_);
}

/// Borrows the request's body: `request` must outlive the call's sending.
Result<http::ClientRequest> HttpEndpoint::outgoing(const InferenceRequest& request,
                                                   const CallContext& context, bool ours) const {
  const WireBody& wire = request.wire;
  auto changed = protocol::openai::changed_body(
      request, {.model = options_.model, .ask_tokens = ours && options_.ask_tokens});
  if (!changed) return fail(std::move(changed).error());
  const OpaqueRequest* passed = wire.protocol == Protocol::kPassed ? request.opaque() : nullptr;
  http::ClientRequest outgoing = to(passed != nullptr ? passed->method : "POST", target_for(request));
  outgoing.headers.reserve(192);
  if (passed != nullptr) {
    outgoing.origin = get_head_;  // the client's headers say what its body is
    for (const auto& [name, value] : passed->headers) outgoing.headers.add(name, value);
  }
  tell_call(outgoing, request, context);
  if (!*changed) outgoing.borrowed_body = wire.bytes;
  outgoing.body = std::move(*changed).value_or(std::string());
  // The dispatcher's and the pipeline's deadlines stand around each wait for the answer; further ones within
  // would only cost timers.
  outgoing.head_timeout = outgoing.read_timeout = Duration::max();
  return outgoing;
}

void HttpEndpoint::tell_call(http::ClientRequest& outgoing, const InferenceRequest& request,
                             const CallContext& context) const {
  outgoing.headers.add("X-Request-Id", request.id);
  outgoing.headers.add("Traceparent", context.span.traceparent());
  if (!context.span.state.empty()) outgoing.headers.add("Tracestate", context.span.state);
  if (options_.part_of_us) tell_context(outgoing, context);
}

protocol::EndpointTerms HttpEndpoint::terms(const InferenceRequest& request, ServerKind kind) const {
  const bool ours = kind == ServerKind::kOurs;
  return {.model = options_.model,
          .ours = ours,
          .ask_tokens = ours && options_.ask_tokens && request.generation() != nullptr,
          .continues_chats = kind == ServerKind::kContinuesChats};
}

Result<http::ClientRequest> HttpEndpoint::translated(const InferenceRequest& request,
                                                     const CallContext& context,
                                                     const protocol::EndpointTerms& terms) const {
  auto written = codec_->write(request, terms);
  if (!written) return fail(std::move(written).error());
  http::ClientRequest outgoing =
      to("POST", (written->to.from_root ? root_ : options_.url).below(written->to.path));
  outgoing.headers.reserve(192);
  tell_call(outgoing, request, context);
  outgoing.body = std::move(written->body);
  outgoing.head_timeout = outgoing.read_timeout = Duration::max();  // as in `outgoing`
  return outgoing;
}

Task<Result<std::unique_ptr<EventStream>>> HttpEndpoint::translate(InferenceRequestPtr request,
                                                                   const CallContext& context,
                                                                   ServerKind kind) {
  protocol::EndpointTerms how = terms(*request, kind);
  how.priority = context.priority;
  auto call = translated(*request, context, how);
  if (!call) co_return fail(std::move(call).error());
  auto response = co_await clients_.of_this_loop().send(std::move(*call));
  if (!response) co_return fail(unaddressed(std::move(response).error()));
  if (auto readable = (*response)->unpack(); !readable)
    co_return fail(unaddressed(std::move(readable).error()));
  if ((*response)->status() != 200)
    co_return fail(co_await read_refusal(**response, chose_path(*request), true));
  co_return std::make_unique<TranslatedStream>(std::move(*response), codec_->reader(*request, how), clients_);
}

Task<Error> HttpEndpoint::read_refusal(http::ClientResponse& response, bool chosen, bool translated) {
  const int status = response.status();
  const auto retry_after = http::retry_after(response.headers());
  const auto body = co_await response.read_all(kMaxErrorBody);
  Error error = codec_->read_error(status, body ? *body : std::string(), retry_after);
  // On a path of its own choice a client may ask for what no server has: this does not count against the
  // endpoint.
  if (chosen && status != 401 && error.reason == kEndpointMisconfigured) error.origin = Origin::kClient;
  // The server's own status and words, except about our key (401), for a redirect, which no client asked for,
  // and for clients that speak another protocol.
  if (options_.part_of_us || translated || status == 401 || status < 400) {
    error.said = nullptr;
    co_return error;
  }
  error.said = std::make_shared<const EndpointAnswer>(EndpointAnswer{
      .status = status,
      .type = error.said ? error.said->type : std::string(),
      .body = body.value_or(std::string()),
      .content_type = std::string(response.headers().find("content-type").value_or("text/plain")),
      .headers = passing_headers(response.headers())});
  co_return error;
}

/// Adds the parts of the context that no body has. A tenant is a key or a certificate's name, so a hash of it
/// is sent: tenants must be told apart, not known.
void HttpEndpoint::tell_context(http::ClientRequest& request, const CallContext& context) const {
  if (!context.tenant.empty())
    request.headers.add("X-Api-Key", fmt::format("{:016x}", std::hash<std::string>()(context.tenant)));
  if (!context.deadline.is_never()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(context.deadline.remaining()) + kLater;
    request.headers.add("X-Autoglm-Timeout-Ms", std::to_string(left.count()));
  }
  request.headers.add("X-Autoglm-Tell-Usage", "1");
  if (context.priority > 0) request.headers.add("X-Priority", std::to_string(context.priority));
  const auto shares = options_.shares ? options_.shares->get() : nullptr;
  if (!shares) return;
  request.headers.add("X-Autoglm-Shares", shares->told);
  if (context.caller && !context.caller->group.empty())
    request.headers.add("X-Autoglm-Group", escaped_group(context.caller->group));
}

Continuation HttpEndpoint::continuation(const InferenceRequest& request, ServerKind kind) const {
  const WireBody& wire = request.wire;
  const GenerateRequest* work = request.generation();
  if (wire.protocol == Protocol::kNone) {
    const Continuation can = codec_->continuation(request, terms(request, kind));
    return can == Continuation::kText && !options_.continue_text ? Continuation::kNone : can;
  }
  // An answer whose frames have passed is not gone on with in other words.
  if (!codec_->passes(wire.protocol)) return Continuation::kNone;
  if (!wire.stream || work == nullptr || wire.protocol == Protocol::kGenerate) return Continuation::kNone;
  if (kind == ServerKind::kOurs) return Continuation::kExact;
  const bool can = options_.continue_text &&
                   (request.wire.protocol == Protocol::kCompletions || kind == ServerKind::kContinuesChats);
  return can && protocol::openai::is_plain_text(*work) ? Continuation::kText : Continuation::kNone;
}

Task<Result<std::string>> HttpEndpoint::post(std::string path, std::string body, const CallContext& context) {
  http::ClientRequest request = to("POST", root_.below(path));
  tell_context(request, context);
  request.body = std::move(body);
  auto response = co_await clients_.of_this_loop().send(std::move(request));
  if (!response) co_return fail(unaddressed(std::move(response).error()));
  const int status = (*response)->status();
  auto answer = co_await (*response)->read_all(kMaxMetrics);
  if (!answer) co_return fail(unaddressed(std::move(answer).error()));
  if (status / 100 != 2) co_return fail(protocol::openai::read_error(status, *answer));
  co_return std::move(*answer);
}

Task<Result<UnaryAnswer>> HttpEndpoint::call(UnaryRequest request, const CallContext& context) {
  if (!options_.part_of_us) co_return fail(not_here());
  auto asked =
      std::visit([&](auto&& of_kind) { return answer(std::move(of_kind), context); }, std::move(request));
  co_return co_await std::move(asked);
}

Task<Result<UnaryAnswer>> HttpEndpoint::answer(TokenizeRequest request, const CallContext& context) {
  const auto said = co_await post("/tokenize", protocol::vllm::tokenize_call(request), context);
  if (!said) co_return fail(said.error());
  co_return protocol::vllm::read_tokenize_result(*said);
}

Task<Result<UnaryAnswer>> HttpEndpoint::answer(DetokenizeRequest request, const CallContext& context) {
  const auto said = co_await post("/detokenize", protocol::vllm::detokenize_call(request.tokens), context);
  if (!said) co_return fail(said.error());
  co_return protocol::vllm::read_detokenize_result(*said);
}

Task<Result<UnaryAnswer>> HttpEndpoint::answer(TokenizerInfoRequest /*request*/,
                                               const CallContext& /*context*/) {
  auto said = co_await get("/tokenizer_info", kInfoTime);
  if (!said) co_return fail(said.error());
  co_return TokenizerInfo{std::move(*said)};
}

}  // namespace autoglm::gateway
