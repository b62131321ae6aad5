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

/// The state of the whole, in a word.
std::string_view overall(const ModelDirectory& models, const Readiness& readiness) {
  std::size_t loading = 0;
  std::size_t failed = 0;
  for (const auto& entry : models.entries()) {
    const State state = entry.endpoint->status().state;
    loading += state == State::kLoading ? 1 : 0;
    failed += state == State::kFailed ? 1 : 0;
  }
  if (readiness.leaving()) return "draining";
  if (loading > 0) return "loading";
  if (failed == 0) return "ok";
  // One model of several that failed is no reason to take the others away.
  return failed == models.entries().size() ? "failed" : "degraded";
}

bool takes_requests(std::string_view word) { return word == "ok" || word == "degraded"; }

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

std::pair<int, std::string> health(const LiveDirectory& live, const Readiness& readiness) {
  const auto snapshot = live.now();
  const ModelDirectory& models = *snapshot;
  std::string list;
  for (const auto& entry : models.entries()) {
    const EndpointStatus status = entry.endpoint->status();
    list += list.empty() ? R"({"name":)" : R"(,{"name":)";
    append_json_string(list, entry.name);
    list += fmt::format(R"(,"status":"{}","progress":{:.2f})", to_string(status.state), status.progress);
    if (!status.detail.empty()) {
      list += R"(,"detail":)";
      append_json_string(list, status.detail);
    }
    list += '}';
  }
  const std::string_view word = overall(models, readiness);
  return {takes_requests(word) ? 200 : 503, fmt::format(R"({{"status":"{}","models":[{}]}})", word, list)};
}

bool is_ready(const LiveDirectory& models, const Readiness& readiness) {
  return takes_requests(overall(*models.now(), readiness));
}

std::vector<Route> health_routes(const LiveDirectory& models, const Readiness& readiness) {
  using http::Request;
  using http::ResponseWriter;
  const auto ready = [&models, &readiness](Request&, ResponseWriter& response, RequestRecord& record) {
    auto [status, body] = health(models, readiness);
    return send(response, record, status, "application/json", std::move(body));
  };
  return {
      opened(described("The state of the server and its models", {"GET", "/health", "", ready})),
      opened(described("Whether requests are welcome", {"GET", "/readyz", "", ready})),
      opened(described("Whether the process runs",
                       {"GET", "/livez", "",
                        [](Request&, ResponseWriter& response, RequestRecord& record) {
                          return send(response, record, 200, "text/plain", "ok\n");
                        }})),
  };
}

std::vector<Route> metrics_routes(const observe::MetricRegistry& metrics, const LiveDirectory& models) {
  return {opened(
      described("Metrics for Prometheus",
                {"GET", "/metrics", "",
                 [&metrics, &models](http::Request&, http::ResponseWriter& response, RequestRecord& record) {
                   return show_metrics(metrics, models, response, record);
                 }}))};
}

}  // namespace autoglm::gateway
