#pragma once

#include "gateway/front/http/access_log.h"
#include "gateway/front/http/cors.h"
#include "gateway/front/http/front_metrics.h"
#include "gateway/front/http/path_pattern.h"
#include "gateway/front/http/readiness.h"
#include "gateway/front/http/recognition.h"
#include "gateway/front/http/request_record.h"
#include "gateway/front/http/route.h"
#include "http/server.h"
#include "http/shared_limits.h"
#include "inference/group_shares.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// Finds the route of each request, and answers those without one: 404 with the known paths, 405 with an
/// example. Errors are worded as the route says. Immutable once built; serves all loops.
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

  /// Which pages of other sites may read answers. Call it before any request.
  void allow_pages(CorsPolicy policy) { cors_ = std::move(policy); }

  /// What clients must show, when there is anything; it may change. Call it before any request.
  void ask_for_keys(const LiveKeys& keys, TokenVerifier* tokens = nullptr) { recognizers_ = {&keys, tokens}; }
  /// All requests come from the server that this process belongs to: see `hear_server`. Call it before any.
  void serve_server(LiveGroupShares& shares) { shares_ = &shares; }

  Task<void> handle(http::Request& request, http::ResponseWriter& response) override;
  bool reads_pieces(const http::Request& request) override;
  std::pair<std::string, std::string_view> refused(const http::Refusal& refusal,
                                                   const std::string& peer) override;
  void handshake_failed(const Error& error, const std::string& peer) override;
  void cannot_accept(const Error& error) override;

 private:
  const Route* find(const http::Request& request, bool& path_known) const;
  /// The route in whose form an error about a path without a route is said; null: none is near.
  const Route* nearest(std::string_view path) const;
  // Rare: inlined, their frames would be a part of every request's.
  [[gnu::noinline]] Task<bool> unpack(const Route& route, http::Request& request,
                                      http::ResponseWriter& response, RequestRecord& record,
                                      http::BodyMemory::Share& unpacked);
  [[gnu::noinline]] Task<void> answer_preflight(const http::Request& request, http::ResponseWriter& response,
                                                RequestRecord& record) const;
  [[gnu::noinline]] Task<void> refuse_method(const http::Request& request, http::ResponseWriter& response,
                                             RequestRecord& record, const Route& route) const;
  [[gnu::noinline]] Task<void> refuse_path(const http::Request& request, http::ResponseWriter& response,
                                           RequestRecord& record) const;
  class Ending;

  std::vector<Route> routes_;
  std::vector<PathPattern> patterns_;  // of each route: beside each other, since every request looks at them
  bool reads_pieces_ = false;          // one of `routes_` does
  std::vector<std::unique_ptr<FrontMetrics::Route>> route_metrics_;  // of each route
  FrontMetrics::Route unknown_;
  FrontMetrics::Route unreadable_;
  const Readiness& readiness_;
  FrontMetrics metrics_;
  observe::Counter& handshakes_failed_;
  observe::Counter& accepts_failed_;
  std::atomic<Duration::rep> accepts_told_{0};  // when the log last had a line about it
  observe::Logger& log_;
  AccessLog access_log_;
  CorsPolicy cors_;
  Recognizers recognizers_;
  LiveGroupShares* shares_ = nullptr;  // null: requests come from clients
  observe::Counter& keys_refused_;
  std::size_t most_unpacked_ = std::size_t{16} << 20U;
  std::shared_ptr<http::BodyMemory> body_memory_;
};

}  // namespace autoglm::gateway
