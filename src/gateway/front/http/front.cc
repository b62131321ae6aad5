#include "gateway/front/http/front.h"

#include "base/utf8.h"
#include "gateway/front/http/packed_body.h"
#include "gateway/front/http/recognition.h"
#include "gateway/protocol/openai/error.h"
#include "gateway/protocol/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::string_view kJson = "application/json";

bool accepts(const Route& route, std::string_view method) {
  return route.method.empty() || route.method == method || (route.method == "GET" && method == "HEAD");
}

/// Whether a browser sent this for a page of another site without asking the server first, as it does with
/// bodies that forms can have: any page that a user looks at could use this server like that.
bool is_foreign_form(const http::Request& request) {
  if (request.method != "POST") return false;  // forms have GET and POST; browsers ask before all others
  const auto origin = request.headers.find("origin");
  if (!origin) return false;
  const std::size_t scheme = origin->find("://");
  const std::string_view from = scheme == std::string_view::npos ? *origin : origin->substr(scheme + 3);
  if (http::equals_ignoring_case(from, request.headers.find("host").value_or(""))) return false;
  const std::string_view type = request.headers.find("content-type").value_or("");
  const std::string_view essence = type.substr(0, type.find_first_of("; \t"));
  return essence.empty() || http::equals_ignoring_case(essence, "text/plain") ||
         http::equals_ignoring_case(essence, "application/x-www-form-urlencoded") ||
         http::equals_ignoring_case(essence, "multipart/form-data");
}

Error foreign_form() {
  return Error{.code = ErrorCode::kPermissionDenied,
               .origin = Origin::kClient,
               .message = "a page from elsewhere (Origin) must send Content-Type: application/json",
               .reason = "cross_site"};
}

/// When the models have changed since the head came, another route may have the path: it needs the whole
/// body.
Error other_route() {
  return Error{.code = ErrorCode::kUnavailable,
               .retry = Retry::kLater,
               .message = "the models have changed while the request arrived; try again",
               .reason = "routes_changed",
               .retry_after = std::chrono::seconds(1)};
}

constexpr std::size_t kMaxRequestId = 128;

/// Ids that a client sends are taken over when they are harmless in a header and a log.
bool usable_id(std::string_view id) {
  return !id.empty() && id.size() <= kMaxRequestId && std::ranges::all_of(id, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.' || c == ':';
  });
}

/// What the request says.
RequestRecord record_of(const http::Request& request) {
  const auto given = request.headers.find("x-request-id");
  const auto parent = request.headers.find("traceparent");
  auto context = parent ? observe::TraceContext::parse(*parent) : std::nullopt;
  if (context) context->keep_state(request.headers.find("tracestate").value_or(""));
  RequestRecord record;
  record.id = given && usable_id(*given) ? std::string(*given) : observe::new_request_id(thread_random());
  record.span = context ? context->child(thread_random()) : observe::TraceContext::begin(thread_random());
  record.method = request.method;
  record.path = request.path;
  record.protocol = request.protocol();
  record.peer = request.peer;
  record.client_identity = request.client_identity;
  record.began = std::chrono::steady_clock::now();
  return record;
}

/// For work that arrives after SIGTERM: load balancers in front of us shall ask another instance.
Error leaving() {
  return Error{.code = ErrorCode::kUnavailable,
               .retry = Retry::kElsewhere,
               .message = "this server is shutting down; try again, another one will answer",
               .reason = "draining",
               .retry_after = std::chrono::seconds(1)};
}

}  // namespace

HttpFront::HttpFront(std::vector<Route> routes, const Readiness& readiness, observe::MetricRegistry& metrics,
                     observe::Logger& log, observe::LogLevel access_level)
    : routes_(std::move(routes)),
      readiness_(readiness),
      metrics_(metrics),
      handshakes_failed_(metrics.counter("autoglm_tls_handshakes_failed_total",
                                         "TLS connections that ended before their first request could.")),
      accepts_failed_(metrics.counter("autoglm_accepts_failed_total",
                                      "How often a connection had to wait because no descriptor was left.")),
      log_(log),
      access_log_(log, access_level),
      keys_refused_(metrics.counter("autoglm_keys_refused_total",
                                    "Requests without a key, or with one that this server does not know.")) {
  for (const Route& route : routes_) {
    patterns_.emplace_back(route.path);
    reads_pieces_ |= route.reads_pieces;
    route_metrics_.push_back(std::make_unique<FrontMetrics::Route>());
    route_metrics_.back()->name = route.path.empty() ? "unknown" : route.path;
  }
  // One name for all unknown paths: clients must not create series of metrics.
  unknown_.name = "unknown";
  unreadable_.name = "unreadable";
}

HttpFront::~HttpFront() = default;

const Route* HttpFront::find(const http::Request& request, bool& path_known) const {
  path_known = false;
  std::size_t wrong_method = routes_.size();
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    if (!patterns_[i].matches(request.path)) continue;
    const Route& route = routes_[i];
    if (route.only_for && !route.only_for(request)) continue;
    path_known = true;
    // GET /v2/models/m/infer is a wrong method, and not the model "m/infer".
    if (wrong_method < routes_.size() && patterns_[i].is_wider_than(patterns_[wrong_method])) continue;
    if (accepts(route, request.method)) return &route;
    wrong_method = i;
  }
  return wrong_method < routes_.size() ? &routes_[wrong_method] : nullptr;
}

/// Counts and logs a request however it ends: also when the client leaves in the middle.
class HttpFront::Ending {
 public:
  Ending(HttpFront& front, RequestRecord& record, FrontMetrics::Route& route,
         const http::ResponseWriter& response)
      : front_(front), record_(record), route_(route), response_(response) {}
  ~Ending() {
    const Duration took = std::chrono::steady_clock::now() - record_.began;
    record_.bytes = response_.bytes_sent();
    front_.metrics_.record(route_, record_.shown_status(), took);
    front_.access_log_.write(record_, took);
  }
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;

 private:
  HttpFront& front_;
  RequestRecord& record_;
  FrontMetrics::Route& route_;
  const http::ResponseWriter& response_;
};

Task<void> HttpFront::handle(http::Request& request, http::ResponseWriter& response) {
  bool path_known = false;
  const Route* route = find(request, path_known);
  std::string versioned;
  if (!path_known) {
    // Clients add "/chat/completions" to any base address they are given.
    versioned.append("/v1").append(request.path);
    const std::string_view asked = std::exchange(request.path, versioned);
    route = find(request, path_known);
    if (!path_known) request.path = asked;
  }
  const bool callable = route != nullptr && accepts(*route, request.method);
  FrontMetrics::Route& counted =
      route == nullptr ? unknown_ : *route_metrics_[static_cast<std::size_t>(route - routes_.data())];
  RequestRecord record = record_of(request);
  const Ending ending(*this, record, counted, response);
  response.add_header("x-request-id", record.id);
  if (cors_.is_on()) {
    add_cors_headers(cors_, request, response);
    if (is_preflight(request)) {
      co_await answer_preflight(request, response, record);
      co_return;
    }
  }
  if (!callable) {
    if (path_known) {
      co_await refuse_method(request, response, record, *route);
    } else {
      co_await refuse_path(request, response, record);
    }
    co_return;
  }
  if (route->method != "GET" && readiness_.draining() && !route->while_draining) {
    const Error error = leaving();
    co_await send_error(response, error, record, route->error_body(error));
    co_return;
  }
  if (is_foreign_form(request)) {
    const Error error = foreign_form();
    co_await send_error(response, error, record, route->error_body(error));
    co_return;
  }
  if (request.arriving != nullptr && !route->reads_pieces) {
    const Error error = other_route();
    co_await send_error(response, error, record, route->error_body(error));
    co_return;
  }
  if (shares_ != nullptr) hear_server(*shares_, request, record);
  if (recognizers_.keys != nullptr && !route->open) {
    record.recognizers = &recognizers_;
    if (auto refusal = recognize(recognizers_, request, record, std::chrono::system_clock::now())) {
      keys_refused_.add();
      record.refusal = std::make_shared<const Error>(std::move(*refusal));
    }
    if (record.refusal && !route->says_refusals) {
      if (record.refusal->code == ErrorCode::kUnauthenticated)
        response.add_header("WWW-Authenticate", "Bearer");
      co_await send_error(response, *record.refusal, record, route->error_body(*record.refusal));
      co_return;
    }
  }
  http::BodyMemory::Share unpacked;
  if (request.arriving == nullptr && !request.body.empty() && request.headers.find("content-encoding")) {
    if (!co_await unpack(*route, request, response, record, unpacked)) co_return;
  }
  co_await route->answer(request, response, record);
}

Task<void> HttpFront::answer_preflight(const http::Request& request, http::ResponseWriter& response,
                                       RequestRecord& record) const {
  record.status = add_preflight_headers(cors_, request, response);
  record.complete = true;
  if (record.status == 204) {
    co_await response.send(204, "", "");
    co_return;
  }
  const Error error{.code = ErrorCode::kPermissionDenied,
                    .origin = Origin::kClient,
                    .message = "pages of this origin may not use this server; see server.cors.origins",
                    .reason = "cross_origin"};
  co_await send_error(response, error, record);
}

Task<void> HttpFront::refuse_method(const http::Request& request, http::ResponseWriter& response,
                                    RequestRecord& record, const Route& route) const {
  std::vector<std::string_view> methods;
  const PathPattern& narrowest = patterns_[static_cast<std::size_t>(&route - routes_.data())];
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    const Route& each = routes_[i];
    if (!patterns_[i].matches(request.path) || patterns_[i].is_wider_than(narrowest)) continue;
    if (each.only_for && !each.only_for(request)) continue;
    if (std::ranges::find(methods, each.method) == methods.end()) methods.push_back(each.method);
  }
  response.add_header("Allow", fmt::format("{}", fmt::join(methods, ", ")));
  const Error error{.code = ErrorCode::kMethodNotAllowed,
                    .origin = Origin::kClient,
                    .message = fmt::format("{} takes {}, not {}; e.g. curl http://HOST{}{}", request.path,
                                           route.method, request.method, route.path, route.example),
                    .reason = "method_not_allowed"};
  co_await send_error(response, error, record, route.error_body(error));
}

Task<void> HttpFront::refuse_path(const http::Request& request, http::ResponseWriter& response,
                                  RequestRecord& record) const {
  std::string known;
  for (const Route& each : routes_) {
    if (each.only_for && !each.listed) continue;
    known += fmt::format("{}{} {}", known.empty() ? "" : ", ", each.method, each.path);
  }
  const Error error{.code = ErrorCode::kNotFound,
                    .origin = Origin::kClient,
                    .message = fmt::format("there is nothing at {}; this server has: {}",
                                           excerpt(request.path, 128), known),
                    .reason = "unknown_path"};
  const Route* near = nearest(request.path);
  co_await send_error(response, error, record,
                      near != nullptr ? near->error_body(error) : protocol::openai::error_body(error));
}

/// The route that the path is below; else the first whose path begins likewise: /api/…, /v2/…. Several
/// protocols have paths below /v1/, which is OpenAI's.
const Route* HttpFront::nearest(std::string_view path) const {
  const std::string_view root = path.substr(0, path.find('/', 1) + 1);
  const Route* likewise = nullptr;
  for (const Route& route : routes_) {
    if (route.path.empty()) continue;
    if (path.starts_with(route.path) && path.substr(route.path.size()).starts_with('/')) return &route;
    const bool is_alike = !root.empty() && root != "/v1/" && route.path.starts_with(root);
    if (likewise == nullptr && is_alike) likewise = &route;
  }
  return likewise;
}

bool HttpFront::reads_pieces(const http::Request& request) {
  if (!reads_pieces_) return false;
  bool path_known = false;
  const Route* route = find(request, path_known);
  return route != nullptr && route->reads_pieces && accepts(*route, request.method);
}

/// False when an error has been sent.
Task<bool> HttpFront::unpack(const Route& route, http::Request& request, http::ResponseWriter& response,
                             RequestRecord& record, http::BodyMemory::Share& unpacked) {
  unpacked = http::BodyMemory::Share(body_memory_.get());
  const auto done = co_await unpack_body(request, most_unpacked_, unpacked);
  if (done) co_return true;
  if (done.error().code == ErrorCode::kUnsupportedMedia)
    response.add_header("Accept-Encoding", "gzip, deflate, br, zstd");
  co_await send_error(response, done.error(), record, route.error_body(done.error()));
  co_return false;
}

std::pair<std::string, std::string_view> HttpFront::refused(const http::Refusal& refusal,
                                                            const std::string& peer) {
  metrics_.record(unreadable_, refusal.status, Duration::zero());
  log_.info("request refused", {{"status", refusal.status}, {"peer", peer}, {"error", refusal.message}});
  const ErrorCode code = refusal.status == 413   ? ErrorCode::kPayloadTooLarge
                         : refusal.status == 408 ? ErrorCode::kRequestTimeout
                         : refusal.status == 503 ? ErrorCode::kUnavailable
                         : refusal.status >= 500 ? ErrorCode::kInternal
                                                 : ErrorCode::kInvalidArgument;
  return {protocol::openai::error_body({.code = code, .message = refusal.message, .reason = "bad_http"}),
          kJson};
}

/// All loops report the same fifty times a second: one line in ten seconds is enough.
void HttpFront::cannot_accept(const Error& error) {
  constexpr Duration kQuiet = std::chrono::seconds(10);
  accepts_failed_.add();
  const Duration::rep now = std::chrono::steady_clock::now().time_since_epoch().count();
  Duration::rep told = accepts_told_.load();
  if (told != 0 && now - told < kQuiet.count()) return;
  if (!accepts_told_.compare_exchange_strong(told, now)) return;
  log_.warning(
      "connections wait: no descriptor is left; raise the limit of open files or lower max_connections",
      {{"error", error.message}});
}

void HttpFront::handshake_failed(const Error& error, const std::string& peer) {
  handshakes_failed_.add();
  // Probes that only connect come every few seconds, and are not worth a line.
  const auto level =
      error.code == ErrorCode::kUnavailable ? observe::LogLevel::kDebug : observe::LogLevel::kInfo;
  log_.log(level, "TLS handshake failed", {{"peer", peer}, {"error", error.message}}, {});
}

void say_origin(http::ResponseWriter& response, const StreamOrigin& origin, bool streamed) {
  response.add_header("x-autoglm-endpoint", origin.endpoint);
  response.add_header("x-autoglm-attempts", std::to_string(origin.attempts));
  if (!origin.fallback.empty()) response.add_header("x-autoglm-fallback", origin.fallback);
  if (!origin.answer) return;
  for (const auto& [name, value] : origin.answer->headers) {
    // For a stream we set these ourselves.
    const bool ours = streamed && (http::equals_ignoring_case(name, "cache-control") ||
                                   http::equals_ignoring_case(name, "x-accel-buffering"));
    if (!ours) response.add_header(name, value);
  }
}

Task<void> send_json(http::ResponseWriter& response, CallRecord& record, std::string body) {
  record.status = 200;
  record.complete = true;
  co_await response.send(200, kJson, body);
}

Task<void> send_error(http::ResponseWriter& response, const Error& error, CallRecord& record) {
  return send_error(response, error, record, protocol::openai::error_body(error));
}

Task<void> send_error(http::ResponseWriter& response, const Error& error, CallRecord& record,
                      std::string body) {
  const EndpointAnswer own;
  const EndpointAnswer& said = error.said ? *error.said : own;
  record.status = said.status != 0 ? said.status : protocol::http_status(error.code);
  record.error = error.log_message();
  // An error that says to come later says when, even if the server behind us did not.
  const bool later = error.code == ErrorCode::kResourceExhausted || error.code == ErrorCode::kUnavailable;
  if (error.retry_after || later)
    response.add_header("Retry-After",
                        std::to_string(error.retry_after.value_or(std::chrono::seconds(1)).count()));
  // Otherwise OpenAI's clients would send the request twice more, each time for as long.
  if (error.code == ErrorCode::kDeadlineExceeded) response.add_header("x-should-retry", "false");
  for (const auto& [name, value] : said.headers) response.add_header(name, value);
  if (!said.body.empty()) {
    co_await response.send(record.status, said.content_type, said.body);
  } else {
    co_await response.send(record.status, kJson, body);
  }
}

}  // namespace autoglm::gateway
