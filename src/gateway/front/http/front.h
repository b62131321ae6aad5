#pragma once

#include "gateway/front/http/readiness.h"
#include "gateway/front/http/request_record.h"
#include "gateway/pipeline.h"
#include "gateway/protocol/codec.h"
#include "gateway/resilience/model_pool.h"
#include "http/server.h"
#include "inference/prefix_digests.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"
#include "runtime/blocking_pool.h"

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// A path that can be called: the method, an example of the right call, and the function that answers.
struct Route {
  std::string_view method;   ///< empty: any
  std::string_view path;     ///< a trailing slash takes everything below it
  std::string_view example;  ///< of the body, for the answer to a wrong method
  std::function<Task<void>(http::Request&, http::ResponseWriter&, RequestRecord&)> answer;
  /// If set, the route exists only for requests that this accepts, and is not listed among the paths.
  std::function<bool(const http::Request&)> only_for = nullptr;
};

/// Finds the route of each request, and answers those without one: 404 with the known paths, 405 with an
/// example. Errors are OpenAI's objects. Immutable once built; serves all loops.
class HttpFront final : public http::Handler {
 public:
  /// `access_level` is that of the access log's lines.
  HttpFront(std::vector<Route> routes, const Readiness& readiness, observe::MetricRegistry& metrics,
            observe::Logger& log, observe::LogLevel access_level = observe::LogLevel::kInfo);
  ~HttpFront() override;

  /// Sets the largest size of an unpacked body, and the memory that all of them count towards. Call it before
  /// any request.
  void bound_unpacked(std::size_t most, std::shared_ptr<http::BodyMemory> memory) {
    most_unpacked_ = most;
    body_memory_ = std::move(memory);
  }

  Task<void> handle(http::Request& request, http::ResponseWriter& response) override;
  std::pair<std::string, std::string_view> refused(const http::Refusal& refusal,
                                                   const std::string& peer) override;
  void handshake_failed(const Error& error, const std::string& peer) override;
  void cannot_accept(const Error& error) override;

 private:
  const Route* find(const http::Request& request, bool& path_known) const;
  // Rare: inlined, their frames would be a part of every request's.
  [[gnu::noinline]] Task<bool> unpack(http::Request& request, http::ResponseWriter& response,
                                      RequestRecord& record);

  std::vector<Route> routes_;
  std::vector<std::unique_ptr<FrontMetrics::Route>> route_metrics_;  // of each route
  FrontMetrics::Route unknown_;
  FrontMetrics::Route unreadable_;
  const Readiness& readiness_;
  FrontMetrics metrics_;
  observe::Counter& handshakes_failed_;
  observe::Counter& accepts_failed_;
  std::atomic<Duration::rep> accepts_told_{0};  // when the log last had a line about it
  observe::Logger& log_;
  observe::LogLevel access_level_;
  std::size_t most_unpacked_ = std::size_t{16} << 20U;
  std::shared_ptr<http::BodyMemory> body_memory_;
};

/// Sends `error` in OpenAI's form, with `Retry-After` where it applies, and notes it in `record`.
// Not inlined: its frame would be a part of every answer's.
[[gnu::noinline]] Task<void> send_error(http::ResponseWriter& response, const Error& error,
                                        RequestRecord& record);

/// Adds the answer's endpoint to its head, and the headers that this endpoint sent.
void say_origin(http::ResponseWriter& response, const StreamOrigin& origin, bool streamed);

/// What the routes that generate text share.
struct GenerationSettings {
  observe::Counter& ignored_fields;                           ///< counts unknown members of bodies
  std::shared_ptr<http::BodyMemory> answer_memory = nullptr;  ///< bounds whole answers; null: nothing does
  BlockingPool* pool = nullptr;  ///< reads long bodies; null: the request's loop reads them
  std::string fingerprint = {};  ///< what answers say of the program that made them
};
/// The routes that generate text: each a codec at a path.
std::vector<Route> generation_routes(const Pipeline& pipeline, GenerationSettings settings);
/// Unknown paths below /v1/, for models whose endpoints take them. Must come after all other routes. `pool`
/// as in GenerationSettings.
std::vector<Route> passing_routes(const Pipeline& pipeline, BlockingPool* pool = nullptr);
/// /tokenize, /detokenize, /tokenizer_info, /v1/models, /version. `pool` as in GenerationSettings.
std::vector<Route> model_routes(const LiveDirectory& models, std::string version,
                                BlockingPool* pool = nullptr);
/// /endpoints, which shows the members of pools, /endpoints/drain and /endpoints/enable: for the operator
/// only.
std::vector<Route> endpoint_routes(std::function<std::vector<std::shared_ptr<ModelPool>>()> pools);
/// POST /reload: reads the configuration again; `reload` returns the keys that still need a restart.
using Reload = std::function<Task<Result<std::vector<std::string>>>()>;
std::vector<Route> reload_routes(Reload reload);
/// /load. With a key it has the sealed digests of the prompts that were read lately; without one, none.
std::vector<Route> load_routes(const LiveDirectory& models, std::optional<PrefixKey> key);
/// Facts for the page for browsers.
struct WelcomeSettings {
  std::string version;
  bool tls = false;  ///< clients reach this server with TLS
  bool metrics = true;
};
/// / for browsers; other clients get a 404 there, as at any unknown path.
std::vector<Route> welcome_routes(const LiveDirectory& models, const Readiness& readiness,
                                  WelcomeSettings settings);
/// /health, /livez, /readyz.
std::vector<Route> health_routes(const LiveDirectory& models, const Readiness& readiness);
/// /metrics: this process's, and those that the endpoints of `models` report.
std::vector<Route> metrics_routes(const observe::MetricRegistry& metrics, const LiveDirectory& models);

}  // namespace autoglm::gateway
