#pragma once

#include "base/clock.h"
#include "http/message.h"
#include "http/server.h"
#include "http/shared_limits.h"
#include "inference/events.h"
#include "observe/log/logger.h"
#include "observe/metrics/registry.h"
#include "observe/trace/trace_context.h"

#include <array>
#include <atomic>
#include <string>
#include <string_view>

namespace autoglm::gateway {

/// The front's metrics, kept so that a request takes no lock: one counter a route and status, looked up once.
/// Thread-safe.
class FrontMetrics {
 public:
  explicit FrontMetrics(observe::MetricRegistry& registry) : registry_(registry) {}

  struct Route {
    std::string name;
    std::array<std::atomic<observe::Counter*>, 600> by_status{};
    std::atomic<observe::Histogram*> seconds{nullptr};
  };
  void record(Route& route, int status, Duration took);

 private:
  observe::MetricRegistry& registry_;
};

/// The facts of one request, which its destructor writes to the access log and the metrics, however the
/// request ends: also when the client leaves in the middle.
class RequestRecord {
 public:
  RequestRecord(const http::Request& request, const http::ResponseWriter& response, FrontMetrics& metrics,
                FrontMetrics::Route& route, observe::Logger& log,
                observe::LogLevel level = observe::LogLevel::kInfo);
  ~RequestRecord();
  RequestRecord(const RequestRecord&) = delete;
  RequestRecord& operator=(const RequestRecord&) = delete;

  std::string id;
  observe::TraceContext span;
  std::string trace_id;
  int status = 0;         ///< 0: never answered, the client went away (499 in the log)
  bool complete = false;  ///< a stream reached its end
  std::string model;
  std::string endpoint;  ///< of a pool: the endpoint that answered
  std::uint32_t attempts = 0;
  std::string error;  ///< what the client was told
  Usage usage;
  Duration first_token{0};
  http::BodyMemory::Share unpacked;  ///< for a body that came packed

 private:
  const http::Request& request_;
  const http::ResponseWriter& response_;
  FrontMetrics& metrics_;
  FrontMetrics::Route& route_;
  observe::Logger& log_;
  observe::LogLevel level_;
  MonotonicTime began_;
};

}  // namespace autoglm::gateway
