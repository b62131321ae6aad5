#include "gateway/front/http/health_routes.h"

#include "base/json_string.h"
#include "observe/metrics/exposition.h"
#include "runtime/scope.h"

#include <fmt/format.h>

#include <utility>

namespace autoglm::gateway {

namespace {

using State = EndpointStatus::State;

std::string_view to_string(State state) {
  switch (state) {
    case State::kLoading:
      return "loading";
    case State::kReady:
      return "ready";
    case State::kFailed:
      return "failed";
    case State::kDraining:
      return "draining";
  }
  return "failed";
}

/// The state of the whole, and of each model, for people and probes: 200 or 503.
std::pair<int, std::string> health(const LiveDirectory& live, const Readiness& readiness) {
  const auto snapshot = live.now();
  const ModelDirectory& models = *snapshot;
  std::string list;
  std::size_t loading = 0;
  std::size_t failed = 0;
  for (const auto& entry : models.entries()) {
    const EndpointStatus status = entry.endpoint->status();
    loading += status.state == State::kLoading ? 1 : 0;
    failed += status.state == State::kFailed ? 1 : 0;
    list += list.empty() ? R"({"name":)" : R"(,{"name":)";
    append_json_string(list, entry.name);
    list += fmt::format(R"(,"status":"{}","progress":{:.2f})", to_string(status.state), status.progress);
    if (!status.detail.empty()) {
      list += R"(,"detail":)";
      append_json_string(list, status.detail);
    }
    list += '}';
  }
  // One model of several that failed is no reason to take the others away.
  const bool none_left = failed > 0 && failed == models.entries().size();
  const std::string_view word = readiness.leaving() ? "draining"
                                : loading > 0       ? "loading"
                                : none_left         ? "failed"
                                : failed > 0        ? "degraded"
                                                    : "ok";
  const bool ready = word == "ok" || word == "degraded";
  return {ready ? 200 : 503, fmt::format(R"({{"status":"{}","models":[{}]}})", word, list)};
}

Task<void> send(http::ResponseWriter& response, RequestRecord& record, int status, std::string_view type,
                std::string body) {
  record.status = status;
  record.complete = true;
  if (status == 503) response.add_header("Retry-After", "1");
  co_await response.send(status, type, body);
}

/// In parallel: a slow endpoint does not delay the others.
Task<void> show_metrics(const observe::MetricRegistry& metrics, const LiveDirectory& models,
                        http::ResponseWriter& response, RequestRecord& record) {
  const auto snapshot = models.now();
  std::vector<std::string> texts;
  Scope asking;  // last: its tasks use the above
  for (const auto& entry : snapshot->entries()) {
    asking.spawn([](Endpoint& endpoint, std::vector<std::string>& out) -> Task<void> {
      if (std::string text = co_await endpoint.metrics(); !text.empty()) out.push_back(std::move(text));
    }(*entry.endpoint, texts));
  }
  co_await asking.join();
  texts.push_back(metrics.serialize());
  co_await send(response, record, 200, "text/plain; version=0.0.4; charset=utf-8",
                texts.size() == 1 ? std::move(texts.front()) : observe::merge_expositions(texts));
}

}  // namespace

std::vector<Route> health_routes(const LiveDirectory& models, const Readiness& readiness) {
  using http::Request;
  using http::ResponseWriter;
  const auto ready = [&models, &readiness](Request&, ResponseWriter& response, RequestRecord& record) {
    auto [status, body] = health(models, readiness);
    return send(response, record, status, "application/json", std::move(body));
  };
  return {
      {"GET", "/health", "", ready},
      {"GET", "/readyz", "", ready},
      {"GET", "/livez", "",
       [](Request&, ResponseWriter& response, RequestRecord& record) {
         return send(response, record, 200, "text/plain", "ok\n");
       }},
  };
}

std::vector<Route> metrics_routes(const observe::MetricRegistry& metrics, const LiveDirectory& models) {
  return {{"GET", "/metrics", "",
           [&metrics, &models](http::Request&, http::ResponseWriter& response, RequestRecord& record) {
             return show_metrics(metrics, models, response, record);
           }}};
}

}  // namespace autoglm::gateway
