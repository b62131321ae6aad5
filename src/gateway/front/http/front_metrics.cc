#include "gateway/front/http/front_metrics.h"

#include <algorithm>
#include <cstddef>

namespace autoglm::gateway {

namespace {

constexpr std::array kSeconds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,  0.1,
                                 0.25,   0.5,     1.0,    2.5,   5.0,    10.0,  30.0, 60.0,  120.0, 300.0};

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

}  // namespace autoglm::gateway
