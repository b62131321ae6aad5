#include "gateway/front/http/front.h"

#include "base/utf8.h"
#include "gateway/front/http/packed_body.h"
#include "gateway/protocol/openai/error.h"
#include "gateway/protocol/status.h"

#include <fmt/format.h>

#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::string_view kJson = "application/json";

bool matches(const Route& route, std::string_view path) {
  return route.path == path || (route.path.size() > 1 && route.path.ends_with('/') &&
                                path.starts_with(route.path) && path.size() > route.path.size());
}

bool accepts(const Route& route, std::string_view method) {
  return route.method.empty() || route.method == method || (route.method == "GET" && method == "HEAD");
}

/// Whether a browser sent this for a page of another site without asking the server first, as it does with
/// bodies that forms can have: any page that a user looks at could use this server like that.
bool is_foreign_form(const http::Request& request) {
  if (request.method == "GET" || request.method == "HEAD") return false;
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
      access_level_(access_level) {
  for (const Route& route : routes_) {
    route_metrics_.push_back(std::make_unique<FrontMetrics::Route>());
    route_metrics_.back()->name = route.path;
  }
  // One name for all unknown paths: clients must not create series of metrics.
  unknown_.name = "unknown";
  unreadable_.name = "unreadable";
}

HttpFront::~HttpFront() = default;

const Route* HttpFront::find(const http::Request& request, bool& path_known) const {
  path_known = false;
  const Route* wrong_method = nullptr;
  for (const Route& route : routes_) {
    if (!matches(route, request.path) || (route.only_for && !route.only_for(request))) continue;
    path_known = true;
    if (accepts(route, request.method)) return &route;
    wrong_method = &route;
  }
  return wrong_method;
}

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
  RequestRecord record(request, response, metrics_, counted, log_, access_level_);
  response.add_header("x-request-id", record.id);
  if (callable && route->method != "GET" && readiness_.draining()) {
    co_await send_error(response, leaving(), record);
    co_return;
  }
  if (callable && is_foreign_form(request)) {
    co_await send_error(response, foreign_form(), record);
    co_return;
  }
  if (callable && !request.body.empty() && request.headers.find("content-encoding")) {
    if (!co_await unpack(request, response, record)) co_return;
  }
  if (callable) {
    co_await route->answer(request, response, record);
    co_return;
  }
  Error error;
  if (path_known) {
    response.add_header("Allow", route->method);
    error = {.code = ErrorCode::kMethodNotAllowed,
             .origin = Origin::kClient,
             .message = fmt::format("{} takes {}, not {}; e.g. curl http://HOST{}{}", request.path,
                                    route->method, request.method, route->path, route->example),
             .reason = "method_not_allowed"};
  } else {
    std::string known;
    for (const Route& each : routes_) {
      if (each.only_for) continue;
      known += fmt::format("{}{} {}", known.empty() ? "" : ", ", each.method, each.path);
    }
    error = {.code = ErrorCode::kNotFound,
             .origin = Origin::kClient,
             .message = fmt::format("there is nothing at {}; this server has: {}", excerpt(request.path, 128),
                                    known),
             .reason = "unknown_path"};
  }
  co_await send_error(response, error, record);
}

/// False when an error has been sent.
Task<bool> HttpFront::unpack(http::Request& request, http::ResponseWriter& response, RequestRecord& record) {
  record.unpacked = http::BodyMemory::Share(body_memory_.get());
  const auto unpacked = co_await unpack_body(request, most_unpacked_, record.unpacked);
  if (unpacked) co_return true;
  if (unpacked.error().code == ErrorCode::kUnsupportedMedia)
    response.add_header("Accept-Encoding", "gzip, deflate, br, zstd");
  co_await send_error(response, unpacked.error(), record);
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

Task<void> send_error(http::ResponseWriter& response, const Error& error, RequestRecord& record) {
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
    co_await response.send(record.status, kJson, protocol::openai::error_body(error));
  }
}

}  // namespace autoglm::gateway
