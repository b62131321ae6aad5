#include "gateway/front/http/front.h"

#include "base/utf8.h"
#include "gateway/protocol/openai/error.h"
#include "gateway/protocol/status.h"

#include <fmt/format.h>

namespace autoglm::gateway {

namespace {

constexpr std::string_view kJson = "application/json";

bool matches(const Route& route, std::string_view path) {
  return route.path == path || (route.path.size() > 1 && route.path.ends_with('/') &&
                                path.starts_with(route.path) && path.size() > route.path.size());
}

bool accepts(const Route& route, std::string_view method) {
  return route.method == method || (route.method == "GET" && method == "HEAD");
}

/// For work that arrives behind SIGTERM: whoever balances before us shall ask another instance.
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
      log_(log),
      access_level_(access_level) {
  for (const Route& route : routes_) {
    route_metrics_.push_back(std::make_unique<FrontMetrics::Route>());
    route_metrics_.back()->name = route.path;
  }
  // One name for all unknown paths: clients must not make series.
  unknown_.name = "unknown";
  unreadable_.name = "unreadable";
}

HttpFront::~HttpFront() = default;

const Route* HttpFront::find(const http::Request& request, bool& path_known) const {
  path_known = false;
  const Route* wrong_method = nullptr;
  for (const Route& route : routes_) {
    if (!matches(route, request.path)) continue;
    path_known = true;
    if (accepts(route, request.method)) return &route;
    wrong_method = &route;
  }
  return wrong_method;
}

Task<void> HttpFront::handle(http::Request& request, http::ResponseWriter& response) {
  bool path_known = false;
  const Route* route = find(request, path_known);
  const bool callable = route != nullptr && accepts(*route, request.method);
  FrontMetrics::Route& counted =
      route == nullptr ? unknown_ : *route_metrics_[static_cast<std::size_t>(route - routes_.data())];
  RequestRecord record(request, response, metrics_, counted, log_, access_level_);
  response.add_header("x-request-id", record.id);
  if (callable && route->method == "POST" && readiness_.draining()) {
    co_await send_error(response, leaving(), record);
    co_return;
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
    for (const Route& each : routes_)
      known += fmt::format("{}{} {}", known.empty() ? "" : ", ", each.method, each.path);
    error = {.code = ErrorCode::kNotFound,
             .origin = Origin::kClient,
             .message = fmt::format("there is nothing at {}; this server has: {}", excerpt(request.path, 128),
                                    known),
             .reason = "unknown_path"};
  }
  co_await send_error(response, error, record);
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

void HttpFront::handshake_failed(const Error& error, const std::string& peer) {
  handshakes_failed_.add();
  // Probes that only connect come every few seconds and say nothing.
  const auto level =
      error.code == ErrorCode::kUnavailable ? observe::LogLevel::kDebug : observe::LogLevel::kInfo;
  log_.log(level, "TLS handshake failed", {{"peer", peer}, {"error", error.message}}, {});
}

Task<void> send_error(http::ResponseWriter& response, const Error& error, RequestRecord& record) {
  record.status = protocol::http_status(error.code);
  record.error = error.message;
  if (error.retry_after) response.add_header("Retry-After", std::to_string(error.retry_after->count()));
  co_await response.send(record.status, kJson, protocol::openai::error_body(error));
}

}  // namespace autoglm::gateway
