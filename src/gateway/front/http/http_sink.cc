#include "gateway/front/http/http_sink.h"

#include "gateway/admission/limits/rate_headers.h"
#include "gateway/front/http/route.h"
#include "gateway/protocol/vllm/load.h"

#include <utility>

namespace autoglm::gateway {

/// Adds headers that name the endpoint and its load.
void HttpSink::tell_origin(const Pipeline::Answer& answer, bool streamed) {
  if (const auto format = request_.headers.find("endpoint-load-metrics-format")) {
    if (auto load = protocol::vllm::load_header(*format, answer.endpoint->load()))
      response_.add_header("endpoint-load-metrics", *load);
  }
  add_rate_headers(answer.rates,
                   [&](std::string_view name, std::string_view value) { response_.add_header(name, value); });
  if (const StreamOrigin* origin = answer.events->origin()) say_origin(response_, *origin, streamed);
}

Task<void> HttpSink::refuse(const Error& error, std::string body) {
  return send_error(response_, error, record_, std::move(body));
}

Task<Result<void>> HttpSink::begin(std::string_view content_type) {
  response_.add_header("Cache-Control", "no-cache");
  response_.add_header("X-Accel-Buffering", "no");  // an nginx in front of us must not hold events back
  return response_.start(200, content_type);
}

}  // namespace autoglm::gateway
