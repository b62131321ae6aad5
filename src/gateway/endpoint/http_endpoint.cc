#include "gateway/endpoint/http_endpoint.h"

#include "base/json_string.h"
#include "gateway/endpoint/pass_through_stream.h"
#include "gateway/protocol/json/edit.h"
#include "gateway/protocol/openai/continuation.h"
#include "gateway/protocol/openai/frame.h"
#include "gateway/protocol/vllm/load.h"
#include "gateway/protocol/vllm/tokenize.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <functional>
#include <utility>

namespace autoglm::gateway {

namespace {

using Protocol = WireBody::Protocol;

constexpr std::size_t kMaxErrorBody = 65'536;
// Of two that keep the same deadline we are the first, whose words name the setting.
constexpr auto kLater = std::chrono::milliseconds(100);
constexpr std::size_t kMaxMetrics = std::size_t{8} << 20U;

std::string_view path_of(Protocol protocol) {
  switch (protocol) {
    case Protocol::kChat:
      return "/chat/completions";
    case Protocol::kCompletions:
      return "/completions";
    default:
      return "/generate";
  }
}

/// The sum of a metric's series in Prometheus' text.
std::uint32_t metric(std::string_view text, std::string_view name) {
  double sum = 0;
  for (std::size_t at = 0; (at = text.find(name, at)) != std::string_view::npos; at += name.size()) {
    const char after = at + name.size() < text.size() ? text[at + name.size()] : '\0';
    if ((at > 0 && text[at - 1] != '\n') || (after != '{' && after != ' ')) continue;
    const std::string_view line = text.substr(at, text.find('\n', at) - at);
    sum += std::strtod(std::string(line.substr(line.rfind(' ') + 1)).c_str(), nullptr);
  }
  return sum > 0 ? static_cast<std::uint32_t>(sum) : 0;
}

Error not_here(const char* what) {
  return Error{
      .code = ErrorCode::kUnimplemented,
      .message = fmt::format("{} is not possible through a gateway yet: ask the model's own server", what)};
}

/// What an answer that is begun needs of who goes on with it.
Continuation needed(const InferenceRequest& request) {
  const auto& work = std::get<GenerateRequest>(request.work);
  if (!request.wire.stream) return Continuation::kNone;
  if (!work.resume.empty()) return Continuation::kExact;
  return work.resume_text.empty() ? Continuation::kNone : Continuation::kText;
}

}  // namespace

HttpEndpoint::HttpEndpoint(HttpEndpointOptions options, HttpClients& clients)
    : options_(std::move(options)), clients_(clients) {
  http::ClientRequest any{.url = options_.url, .headers = {}};
  any.tls = options_.tls;
  any.tls_name = options_.tls_name;
  for (const auto& [name, value] : options_.headers) {
    if (!http::equals_ignoring_case(name, "accept-encoding"))
      any.headers.add(name, value);  // answers are read
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

/// The client's body, with the few members that this endpoint has to see otherwise.
std::string HttpEndpoint::body_for(const InferenceRequest& request, bool ours) const {
  const auto& work = std::get<GenerateRequest>(request.work);
  std::vector<protocol::JsonEdit> edits;
  if (!options_.model.empty()) {
    edits.push_back({"model", json_string(options_.model)});
  } else if (!request.wire.names_model && request.wire.protocol != Protocol::kGenerate) {
    edits.push_back({"model", json_string(request.model)});
  }
  if (!work.resume_text.empty()) {
    for (auto& edit : protocol::openai::continuation_edits(request.wire, work))
      edits.push_back(std::move(edit));
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

Task<Result<std::unique_ptr<EventStream>>> HttpEndpoint::generate(InferenceRequestPtr request,
                                                                  const CallContext& context) {
  const WireBody& wire = request->wire;
  // Once: a check may find somebody else here at any time.
  const ServerKind kind = this->kind();
  if (continuation(*request, kind) < needed(*request)) {
    co_return fail(Error{.code = ErrorCode::kUnavailable,
                         .origin = Origin::kEndpoint,
                         .retry = Retry::kElsewhere,
                         .message = fmt::format("{} cannot go on with an answer that is begun", name()),
                         .reason = "no_resume"});
  }
  const bool ours = kind == ServerKind::kOurs;
  const PassThroughStream::Shape shape{
      .protocol = wire.protocol,
      .stream = wire.stream,
      .whole_steps = ours && options_.ask_tokens && wire.stream && wire.protocol != Protocol::kGenerate,
      .resumed = !std::get<GenerateRequest>(request->work).resume.empty()};
  auto sending = clients_.of_this_loop().send(outgoing(*request, context, ours));
  auto response = co_await std::move(sending);
  if (!response) co_return fail(std::move(response).error());
  if ((*response)->status() != 200) co_return fail(co_await read_refusal(**response));
  co_return std::make_unique<PassThroughStream>(std::move(*response), shape);
}

http::ClientRequest HttpEndpoint::outgoing(const InferenceRequest& request, const CallContext& context,
                                           bool ours) const {
  const WireBody& wire = request.wire;
  const std::string& base = options_.url.target;
  const std::string prefix = wire.protocol == Protocol::kGenerate ? root() : base == "/" ? "" : base;
  http::ClientRequest outgoing = to("POST", prefix + std::string(path_of(wire.protocol)));
  outgoing.headers.reserve(192);
  outgoing.headers.add("X-Request-Id", request.id);
  outgoing.headers.add("Traceparent", context.span.traceparent());
  if (options_.part_of_us) tell_context(outgoing, context);
  outgoing.body = body_for(request, ours);
  // The dispatcher's and the pipeline's deadlines stand around each wait for the answer; further ones within
  // would only cost timers.
  outgoing.head_timeout = outgoing.read_timeout = Duration::max();
  return outgoing;
}

Task<Error> HttpEndpoint::read_refusal(http::ClientResponse& response) {
  const std::string retry_after(response.headers().find("retry-after").value_or(""));
  auto body = co_await response.read_all(kMaxErrorBody);
  co_return protocol::openai::read_error(response.status(), body ? *body : std::string(), retry_after);
}

/// What is in no body. A tenant is a key or a certificate's name, so it goes as a number: whose it is
/// matters, not what it is called.
void HttpEndpoint::tell_context(http::ClientRequest& request, const CallContext& context) const {
  if (!context.tenant.empty())
    request.headers.add("X-Api-Key", fmt::format("{:016x}", std::hash<std::string>()(context.tenant)));
  if (!context.deadline.is_never()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(context.deadline.remaining()) + kLater;
    request.headers.add("X-Autoglm-Timeout-Ms", std::to_string(left.count()));
  }
  request.headers.add("X-Autoglm-Tell-Usage", "1");
}

/// Where its other paths are: its address without `/v1`.
std::string HttpEndpoint::root() const {
  const std::string& base = options_.url.target;
  return base.ends_with("/v1") ? base.substr(0, base.size() - 3) : base == "/" ? "" : base;
}

Task<Result<std::string>> HttpEndpoint::get(std::string path, Duration timeout) {
  http::ClientRequest request = to("GET", root() + path);
  request.reuse_time = Duration::zero();  // a check shows that a new connection can be made, and keeps none
  request.connect_timeout = std::min(request.connect_timeout, timeout);
  request.head_timeout = request.read_timeout = timeout;
  auto response = co_await clients_.of_this_loop().send(std::move(request));
  if (!response) co_return fail(response.error());
  const int status = (*response)->status();
  auto body = co_await (*response)->read_all(kMaxMetrics);
  if (!body) co_return fail(body.error());
  if (status / 100 != 2) co_return fail(protocol::openai::read_error(status, *body, ""));
  co_return std::move(*body);
}

/// Ours says so; vLLM has /version and SGLang /get_model_info, and both go on with a chat's last message.
/// Unknown stays who has not answered: only a 4xx says that there is no such path.
Task<ServerKind> HttpEndpoint::find_out(Duration timeout) {
  const auto version = co_await get("/version", timeout);
  if (version && version->find(R"("server":"open-autoglm")") != std::string::npos)
    co_return ServerKind::kOurs;
  if (version && version->find(R"("version")") != std::string::npos) co_return ServerKind::kContinuesChats;
  const auto model = co_await get("/get_model_info", timeout);
  if (model && model->find(R"("model_path")") != std::string::npos) co_return ServerKind::kContinuesChats;
  const auto answered = [](const Result<std::string>& page) {
    return page || page.error().origin == Origin::kClient;
  };
  co_return answered(version) && answered(model) ? ServerKind::kOther : ServerKind::kUnknown;
}

Continuation HttpEndpoint::continuation(const InferenceRequest& request, ServerKind kind) const {
  if (!request.wire.stream || request.wire.protocol == Protocol::kGenerate) return Continuation::kNone;
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
    // Who comes when nobody was there may be somebody else.
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
    auto healthy = co_await get(std::move(path), timeout);
    if (!healthy) co_return fail(healthy.error());
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

Task<Result<std::string>> HttpEndpoint::post(std::string path, std::string body) {
  http::ClientRequest request = to("POST", root() + path);
  request.body = std::move(body);
  auto response = co_await clients_.of_this_loop().send(std::move(request));
  if (!response) co_return fail(response.error());
  const int status = (*response)->status();
  auto answer = co_await (*response)->read_all(kMaxMetrics);
  if (!answer) co_return fail(answer.error());
  if (status / 100 != 2) co_return fail(protocol::openai::read_error(status, *answer, ""));
  co_return std::move(*answer);
}

Task<Result<TokenizeResult>> HttpEndpoint::tokenize(TokenizeRequest request) {
  if (!options_.part_of_us) co_return fail(not_here("tokenizing"));
  const auto answer = co_await post("/tokenize", protocol::vllm::tokenize_call(request));
  if (!answer) co_return fail(answer.error());
  co_return protocol::vllm::read_tokenize_result(*answer);
}

Task<Result<std::string>> HttpEndpoint::detokenize(std::vector<TokenId> tokens) {
  if (!options_.part_of_us) co_return fail(not_here("detokenizing"));
  const auto answer = co_await post("/detokenize", protocol::vllm::detokenize_call(tokens));
  if (!answer) co_return fail(answer.error());
  co_return protocol::vllm::read_detokenize_result(*answer);
}

}  // namespace autoglm::gateway
