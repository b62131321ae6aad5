#pragma once

#include "gateway/front/http/readiness.h"
#include "gateway/front/http/request_record.h"
#include "gateway/pipeline.h"
#include "gateway/protocol/codec.h"
#include "gateway/resilience/model_pool.h"
#include "http/server.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// What stands at a path: the method, an example of the right call, and who answers.
struct Route {
  std::string_view method;
  std::string_view path;     ///< a trailing slash takes everything below it
  std::string_view example;  ///< of the body, for the answer to a wrong method
  std::function<Task<void>(http::Request&, http::ResponseWriter&, RequestRecord&)> answer;
};

/// Finds the route of each request, and answers for what has none: 404 with the known paths, 405 with
/// an example. Errors are OpenAI's objects. Immutable once built; serves all loops.
class HttpFront final : public http::Handler {
 public:
  /// `access_level` is that of the access log's lines.
  HttpFront(std::vector<Route> routes, const Readiness& readiness, observe::MetricRegistry& metrics,
            observe::Logger& log, observe::LogLevel access_level = observe::LogLevel::kInfo);
  ~HttpFront() override;

  Task<void> handle(http::Request& request, http::ResponseWriter& response) override;
  std::pair<std::string, std::string_view> refused(const http::Refusal& refusal,
                                                   const std::string& peer) override;
  void handshake_failed(const Error& error, const std::string& peer) override;

 private:
  const Route* find(const http::Request& request, bool& path_known) const;

  std::vector<Route> routes_;
  std::vector<std::unique_ptr<FrontMetrics::Route>> route_metrics_;  // of each route
  FrontMetrics::Route unknown_;
  FrontMetrics::Route unreadable_;
  const Readiness& readiness_;
  FrontMetrics metrics_;
  observe::Counter& handshakes_failed_;
  observe::Logger& log_;
  observe::LogLevel access_level_;
};

/// Sends `error` in OpenAI's form, with `Retry-After` where it applies, and notes it in `record`.
// Inlined, its frame would be a part of every answer's.
[[gnu::noinline]] Task<void> send_error(http::ResponseWriter& response, const Error& error,
                                        RequestRecord& record);

/// The routes that generate text: each a codec at a path. `ignored_fields` counts members of bodies that no
/// protocol of ours knows.
std::vector<Route> generation_routes(const Pipeline& pipeline, observe::Counter& ignored_fields);
/// /tokenize, /detokenize, /v1/models, /version.
std::vector<Route> model_routes(const LiveDirectory& models, std::string version);
/// /endpoints, which shows the members of pools, and /endpoints/drain and /endpoints/enable: for the operator
/// only.
std::vector<Route> endpoint_routes(std::function<std::vector<std::shared_ptr<ModelPool>>()> pools);
/// POST /reload: reads the configuration again; `reload` says what a restart is still needed for.
std::vector<Route> reload_routes(std::function<Result<std::vector<std::string>>()> reload);
/// /load.
std::vector<Route> load_routes(const LiveDirectory& models);
/// /health, /livez, /readyz.
std::vector<Route> health_routes(const LiveDirectory& models, const Readiness& readiness);
/// /metrics: this process's, and what the endpoints of `models` tell of themselves.
std::vector<Route> metrics_routes(const observe::MetricRegistry& metrics, const LiveDirectory& models);

}  // namespace autoglm::gateway
