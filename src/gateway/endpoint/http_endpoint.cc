#include "gateway/endpoint/http_endpoint.h"

#include "base/json_string.h"
#include "gateway/endpoint/pass_through_stream.h"
#include "gateway/endpoint/passing_headers.h"
#include "gateway/endpoint/unaddressed.h"
#include "gateway/protocol/json/edit.h"
#include "gateway/protocol/openai/continuation.h"
#include "gateway/protocol/openai/frame.h"
#include "gateway/protocol/openai/outline.h"
#include "gateway/protocol/vllm/load.h"
#include "gateway/protocol/vllm/tokenize.h"
#include "http/retry_after.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
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

std::string path_of(Protocol protocol) {
  switch (protocol) {
    case Protocol::kChat:
      return "/chat/completions";
    case Protocol::kCompletions:
      return "/completions";
    default:
      return "/generate";
  }
}

/// The sum of a metric's series in Prometheus' text, whose lines may end in a timestamp.
std::uint32_t metric(std::string_view text, std::string_view name) {
  constexpr double kMost = 1e9;  // sums of a few such numbers still fit in 32 bits
  double sum = 0;
  for (std::size_t at = 0; (at = text.find(name, at)) != std::string_view::npos; at += name.size()) {
    const char after = at + name.size() < text.size() ? text[at + name.size()] : '\0';
    if ((at > 0 && text[at - 1] != '\n') || (after != '{' && after != ' ')) continue;
    const std::string_view line = text.substr(at, text.find('\n', at) - at);
    const std::size_t labels_end = after == '{' ? line.rfind('}') : name.size();
    if (labels_end == std::string_view::npos) continue;
    sum += std::strtod(std::string(line.substr(labels_end + 1)).c_str(), nullptr);
  }
  return sum > 0 ? static_cast<std::uint32_t>(std::min(sum, kMost)) : 0;
}

constexpr Duration kInfoTime = std::chrono::seconds(5);

Error not_here(const char* what) {
  return Error{
      .code = ErrorCode::kUnimplemented,
      .message = fmt::format("{} is not possible through a gateway yet: ask the model's own server", what)};
}

/// The continuation that an answer which has begun needs of the endpoint.
Continuation needed(const InferenceRequest& request) {
  const auto& work = std::get<GenerateRequest>(request.work);
  if (!request.wire.stream) return Continuation::kNone;
  if (!work.resume.empty()) return Continuation::kExact;
  return work.resume_text.empty() ? Continuation::kNone : Continuation::kText;
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
    : options_(std::move(options)), root_(root_of(options_.url)), clients_(clients) {
  http::ClientRequest any{.url = options_.url, .headers = {}};
  any.tls = options_.tls;
  any.tls_name = options_.tls_name;
  for (const auto& [name, value] : options_.headers) {
    if (!http::equals_ignoring_case(name, "accept-encoding"))
      any.headers.add(name, value);  // the gateway reads the answers
  }
  if (!options_.api_key.empty()) any.headers.add("Authorization", "Bearer " + options_.api_key);
  http::OriginHead head = any.origin_head();
  head.lines.add(any.headers);
  get_head_ = std::make_shared<const http::OriginHead>(head);
  head.lines.add("Content-Type", "application/json");
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

/// The client's body, with the few members changed that this endpoint must see differently.
Result<std::string> HttpEndpoint::body_for(const InferenceRequest& request, bool ours) const {
  const auto& work = std::get<GenerateRequest>(request.work);
  if (request.wire.protocol == Protocol::kPassed) return passed_body(request);
  std::vector<protocol::JsonEdit> edits;
  if (!options_.model.empty()) {
    edits.push_back({"model", json_string(options_.model)});
  } else if (!request.wire.names_model && (request.wire.protocol != Protocol::kGenerate ||
                                           !protocol::member_value(request.wire.bytes, "model").empty())) {
    edits.push_back({"model", json_string(request.model)});
  }
  if (!work.resume_text.empty()) {
    auto more = protocol::openai::continuation_edits(request.wire, work);
    if (!more) return fail(std::move(more).error());
    for (auto& edit : *more) edits.push_back(std::move(edit));
  }
  if (ours && options_.ask_tokens && request.wire.stream && request.wire.protocol != Protocol::kGenerate) {
    edits.push_back({"return_token_ids", "true"});
    if (work.sampling.seed)
      edits.push_back({"seed", std::to_string(static_cast<std::int64_t>(*work.sampling.seed))});
    if (!work.resume.empty()) {
      std::string lists;
      for (const auto& tokens : work.resume)
        lists += fmt::format("{}[{}]", lists.empty() ? "" : ",", fmt::join(tokens, ","));
      edits.push_back(
          {"resume", fmt::format(R"({{"token_ids":[{}],"created":{}}})", lists, request.created)});
    }
  }
  return edits.empty() ? request.wire.bytes : protocol::edit_members(request.wire.bytes, edits);
}

/// A request that this process does not understand: only the model's name is changed, where the body has one.
std::string HttpEndpoint::passed_body(const InferenceRequest& request) const {
  const WireBody& wire = request.wire;
  if (!wire.names_model) return wire.bytes;
  const std::string& model =
      options_.model.empty() ? request.model : options_.model;  // the body may have an alias
  const auto type = std::ranges::find_if(wire.headers, [](const auto& field) {
    return http::equals_ignoring_case(field.first, "content-type");
  });
  const std::string_view content_type = type == wire.headers.end() ? std::string_view() : type->second;
  if (const auto said = protocol::openai::form_model(content_type, wire.bytes)) {
    std::string bytes = wire.bytes;
    return bytes.replace(static_cast<std::size_t>(said->data() - wire.bytes.data()), said->size(), model);
  }
  const std::vector<protocol::JsonEdit> edits = {{"model", json_string(model)}};
  return protocol::edit_members(wire.bytes, edits);
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
  const bool ours = kind == ServerKind::kOurs && !wire.opaque;
  const auto& resume = std::get<GenerateRequest>(request->work).resume;
  std::size_t said = 0;
  for (const auto& tokens : resume) said += tokens.size();
  const PassThroughStream::Shape shape{
      .protocol = wire.protocol,
      .stream = wire.stream,
      .whole_steps = ours && options_.ask_tokens && wire.stream && wire.protocol != Protocol::kGenerate,
      .resumed = !resume.empty(),
      .said = static_cast<std::uint32_t>(said),
      .choices = wire.opaque ? std::numeric_limits<std::uint32_t>::max()
                             : std::get<GenerateRequest>(request->work).choices()};
  auto call = outgoing(*request, context, ours);
  if (!call) co_return fail(std::move(call).error());
  auto sending = clients_.of_this_loop().send(std::move(*call));
  auto response = co_await std::move(sending);
  if (!response) co_return fail(unaddressed(std::move(response).error()));
  if (auto readable = (*response)->unpack(); !readable)
    co_return fail(unaddressed(std::move(readable).error()));
  const int status = (*response)->status();
  if (wire.protocol == Protocol::kPassed ? status / 100 != 2 : status != 200)
    co_return fail(co_await read_refusal(**response, wire.protocol == Protocol::kPassed));
  co_return std::make_unique<PassThroughStream>(std::move(*response), shape, clients_);
}

Result<http::ClientRequest> HttpEndpoint::outgoing(const InferenceRequest& request,
                                                   const CallContext& context, bool ours) const {
  const WireBody& wire = request.wire;
  auto body = body_for(request, ours);
  if (!body) return fail(std::move(body).error());
  const bool passed = wire.protocol == Protocol::kPassed;
  const http::Url& base = wire.protocol == Protocol::kGenerate ? root_ : options_.url;
  http::ClientRequest outgoing =
      to(passed ? wire.method : "POST",
         base.below(passed ? "/" + wire.path : path_of(wire.protocol), wire.query));
  outgoing.headers.reserve(192);
  if (passed) outgoing.origin = get_head_;  // the client's headers say what its body is
  for (const auto& [name, value] : wire.headers) outgoing.headers.add(name, value);
  outgoing.headers.add("X-Request-Id", request.id);
  outgoing.headers.add("Traceparent", context.span.traceparent());
  if (options_.part_of_us) tell_context(outgoing, context);
  outgoing.body = std::move(*body);
  // The dispatcher's and the pipeline's deadlines stand around each wait for the answer; further ones within
  // would only cost timers.
  outgoing.head_timeout = outgoing.read_timeout = Duration::max();
  return outgoing;
}

Task<Error> HttpEndpoint::read_refusal(http::ClientResponse& response, bool passed) {
  const int status = response.status();
  const auto retry_after = http::retry_after(response.headers());
  const auto body = co_await response.read_all(kMaxErrorBody);
  Error error = protocol::openai::read_error(status, body ? *body : std::string(), retry_after);
  // On a path that is unknown here a client may ask for what no server has: this does not count against the
  // endpoint.
  if (passed && status != 401 && error.reason == kEndpointMisconfigured) error.origin = Origin::kClient;
  // The server's own status and words, except about our key (401), and for a redirect, which no client asked
  // for.
  if (options_.part_of_us || status == 401 || status < 400) {
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
}

/// The page, whatever its status.
Task<Result<HttpEndpoint::Page>> HttpEndpoint::look_at(std::string path, Duration timeout) {
  http::ClientRequest request = to("GET", root_.below(path));
  request.reuse_time = Duration::zero();  // a check shows that a new connection can be made, and keeps none
  request.connect_timeout = std::min(request.connect_timeout, timeout);
  request.head_timeout = request.read_timeout = timeout;
  const Deadline deadline = Deadline::after(timeout);  // for the whole page, however slowly it comes
  auto response = co_await clients_.of_this_loop().send(std::move(request));
  if (!response) co_return fail(response.error());
  const int status = (*response)->status();
  if (auto readable = (*response)->unpack(); !readable) co_return fail(readable.error());
  auto body = co_await (*response)->read_all(kMaxMetrics, deadline);
  if (!body) co_return fail(body.error());
  co_return Page{.status = status, .body = std::move(*body)};
}

Task<Result<std::string>> HttpEndpoint::get(std::string path, Duration timeout) {
  auto page = co_await look_at(std::move(path), timeout);
  if (!page) co_return fail(page.error());
  if (page->status / 100 != 2) co_return fail(protocol::openai::read_error(page->status, page->body));
  co_return std::move(page->body);
}

/// An Open-AutoGLM server says so; vLLM has /version and SGLang /get_model_info, and both continue a chat's
/// last message. A server that has not answered stays unknown: only a 404 or its like says that there is no
/// such path.
Task<ServerKind> HttpEndpoint::find_out(Duration timeout) {
  const auto says = [](const Result<Page>& page, std::string_view text) {
    return page && page->status / 100 == 2 && page->body.find(text) != std::string::npos;
  };
  const auto version = co_await look_at("/version", timeout);
  if (says(version, R"("server":"open-autoglm")")) co_return ServerKind::kOurs;
  if (says(version, R"("version")")) co_return ServerKind::kContinuesChats;
  const auto model = co_await look_at("/get_model_info", timeout);
  if (says(model, R"("model_path")")) co_return ServerKind::kContinuesChats;
  const auto answered = [](const Result<Page>& page) {
    return page &&
           (page->status / 100 == 2 || page->status == 400 || page->status == 404 || page->status == 405);
  };
  co_return answered(version) && answered(model) ? ServerKind::kOther : ServerKind::kUnknown;
}

Continuation HttpEndpoint::continuation(const InferenceRequest& request, ServerKind kind) const {
  const WireBody& wire = request.wire;
  if (!wire.stream || wire.opaque || wire.protocol == Protocol::kGenerate) return Continuation::kNone;
  if (kind == ServerKind::kOurs) return Continuation::kExact;
  const bool can = options_.continue_text &&
                   (request.wire.protocol == Protocol::kCompletions || kind == ServerKind::kContinuesChats);
  return can && protocol::openai::is_plain_text(std::get<GenerateRequest>(request.work))
             ? Continuation::kText
             : Continuation::kNone;
}

Task<Result<void>> HttpEndpoint::check(std::string path, Duration timeout) {
  auto checked = co_await ask_health(std::move(path), timeout);
  if (!checked) {
    // The next server at this address may be another one.
    if (checked.error().reason == "connect_failed") options_.kind->store(ServerKind::kUnknown);
    co_return checked;
  }
  if (kind() == ServerKind::kUnknown) options_.kind->store(co_await find_out(timeout));
  co_return checked;
}

Task<Result<void>> HttpEndpoint::ask_health(std::string path, Duration timeout) {
  if (path.empty()) {
    http::ClientRequest request = to("GET", "/");
    request.connect_timeout = std::min(request.connect_timeout, timeout);
    if (auto connected = co_await clients_.of_this_loop().probe(request); !connected)
      co_return fail(connected.error());
  } else {
    const auto page = co_await look_at(std::move(path), timeout);
    if (!page) co_return fail(page.error());
    // The 404 is about the configured path, not about a model.
    if (page->status == 404)
      co_return fail(Error{.code = ErrorCode::kNotFound,
                           .origin = Origin::kEndpoint,
                           .retry = Retry::kElsewhere,
                           .message = "the endpoint answered the health path with status 404"});
    if (page->status / 100 != 2) co_return fail(protocol::openai::read_error(page->status, page->body));
  }
  co_return Result<void>();
}

Task<Result<void>> HttpEndpoint::scrape_load(Duration timeout) {
  if (ours()) {
    const auto said = co_await get("/load", timeout);
    if (!said) co_return fail(said.error());
    auto load = protocol::vllm::read_load(*said);
    if (!load) co_return fail(load.error());
    running_.store(load->report.running);
    waiting_.store(load->report.waiting);
    prefixes_.set(std::move(load->prefixes));
    co_return Result<void>();
  }
  auto text = co_await get("/metrics", timeout);
  if (!text) co_return fail(text.error());
  running_.store(metric(*text, "vllm:num_requests_running"));
  waiting_.store(metric(*text, "vllm:num_requests_waiting"));
  co_return Result<void>();
}

Task<Result<std::string>> HttpEndpoint::post(std::string path, std::string body, const CallContext* context) {
  http::ClientRequest request = to("POST", root_.below(path));
  if (context != nullptr) tell_context(request, *context);
  request.body = std::move(body);
  auto response = co_await clients_.of_this_loop().send(std::move(request));
  if (!response) co_return fail(unaddressed(std::move(response).error()));
  const int status = (*response)->status();
  auto answer = co_await (*response)->read_all(kMaxMetrics);
  if (!answer) co_return fail(unaddressed(std::move(answer).error()));
  if (status / 100 != 2) co_return fail(protocol::openai::read_error(status, *answer));
  co_return std::move(*answer);
}

Task<Result<TokenizeResult>> HttpEndpoint::tokenize(TokenizeRequest request, const CallContext& context) {
  if (!options_.part_of_us) co_return fail(not_here("tokenizing"));
  const auto answer = co_await post("/tokenize", protocol::vllm::tokenize_call(request), &context);
  if (!answer) co_return fail(answer.error());
  co_return protocol::vllm::read_tokenize_result(*answer);
}

Task<Result<std::string>> HttpEndpoint::detokenize(std::vector<TokenId> tokens) {
  if (!options_.part_of_us) co_return fail(not_here("detokenizing"));
  const auto answer = co_await post("/detokenize", protocol::vllm::detokenize_call(tokens));
  if (!answer) co_return fail(answer.error());
  co_return protocol::vllm::read_detokenize_result(*answer);
}

Task<Result<std::string>> HttpEndpoint::tokenizer_info() {
  if (!options_.part_of_us) co_return fail(not_here("asking for a tokenizer"));
  co_return co_await get("/tokenizer_info", kInfoTime);
}

}  // namespace autoglm::gateway
