#include "gateway/front/http/request_record.h"

#include "gateway/front/http/access_line.h"

#include <algorithm>

namespace autoglm::gateway {

namespace {

constexpr std::array kSeconds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,  0.1,
                                 0.25,   0.5,     1.0,    2.5,   5.0,    10.0,  30.0, 60.0,  120.0, 300.0};

constexpr std::size_t kMaxRequestId = 128;

/// Ids that a client sends are taken over when they are harmless in a header and a log.
bool usable_id(std::string_view id) {
  return !id.empty() && id.size() <= kMaxRequestId && std::ranges::all_of(id, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.' || c == ':';
  });
}

}  // namespace

void FrontMetrics::record(Route& route, int status, Duration took) {
  auto& slot = route.by_status[static_cast<std::size_t>(std::clamp(status, 0, 599))];
  observe::Counter* counter = slot.load(std::memory_order_acquire);
  if (counter == nullptr) {
    counter = &registry_.counter("autoglm_http_requests_total", "HTTP requests answered.",
                                 {{"route", route.name}, {"code", std::to_string(status)}});
    slot.store(counter, std::memory_order_release);
  }
  counter->add();
  observe::Histogram* seconds = route.seconds.load(std::memory_order_acquire);
  if (seconds == nullptr) {
    seconds = &registry_.histogram("autoglm_http_request_seconds",
                                   "From the whole request to the end of its answer.", kSeconds,
                                   {{"route", route.name}});
    route.seconds.store(seconds, std::memory_order_release);
  }
  seconds->observe(to_seconds(took));
}

RequestRecord::RequestRecord(const http::Request& request, const http::ResponseWriter& response,
                             FrontMetrics& metrics, FrontMetrics::Route& route, observe::Logger& log,
                             observe::LogLevel level)
    : request_(request),
      response_(response),
      metrics_(metrics),
      route_(route),
      log_(log),
      level_(level),
      began_(std::chrono::steady_clock::now()) {
  const auto given = request.headers.find("x-request-id");
  id = given && usable_id(*given) ? std::string(*given) : observe::new_request_id(thread_random());
  const auto parent = request.headers.find("traceparent");
  const auto context = parent ? observe::TraceContext::parse(*parent) : std::nullopt;
  span = context ? context->child(thread_random()) : observe::TraceContext::begin(thread_random());
  trace_id = span.trace_id_hex();
}

RequestRecord::~RequestRecord() {
  const bool gone = status == 0 || (status == 200 && !complete);
  const int shown = gone && error.empty() ? 499 : status;
  const Duration took = std::chrono::steady_clock::now() - began_;
  metrics_.record(route_, shown, took);
  // Probes and scrapes come every few seconds, and are not worth a line.
  const auto level = model.empty() && shown < 400 ? observe::LogLevel::kDebug : level_;
  if (!log_.enabled(level)) return;
  if (log_.format() == observe::LogFormat::kText) {
    log_.words(level, access_line({.method = request_.method,
                                   .path = request_.path,
                                   .status = shown,
                                   .took = took,
                                   .usage = usage,
                                   .model = model,
                                   .endpoint = endpoint,
                                   .attempts = attempts,
                                   .error = error},
                                  Paint(log_.colours())));
    return;
  }
  log_.log(level, "request",
           {{"request_id", id},
            {"method", request_.method},
            {"path", request_.path},
            {"protocol", request_.protocol()},
            {"status", shown},
            {"duration_ms", 1000 * to_seconds(took)},
            {"first_token_ms", 1000 * to_seconds(first_token)},
            {"bytes", response_.bytes_sent()},
            {"peer", request_.peer},
            {"client_identity", request_.client_identity},
            {"model", model},
            {"endpoint", endpoint},
            {"attempts", attempts},
            {"prompt_tokens", usage.prompt_tokens},
            {"completion_tokens", usage.completion_tokens},
            {"error", error}},
           trace_id);
}

}  // namespace autoglm::gateway
