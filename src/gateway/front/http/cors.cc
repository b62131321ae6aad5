#include "gateway/front/http/cors.h"

#include <fmt/format.h>

#include <algorithm>

namespace autoglm::gateway {

namespace {

// Without this a page sees only the few fields that the standard lists.
constexpr std::string_view kExposed =
    "x-request-id, x-autoglm-endpoint, x-autoglm-attempts, x-autoglm-fallback, x-should-retry, Retry-After, "
    "endpoint-load-metrics, Inference-Header-Content-Length, retry-after-ms, x-ratelimit-limit-requests, "
    "x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, "
    "x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";
constexpr std::string_view kMethods = "GET, HEAD, POST, PUT, PATCH, DELETE";

}  // namespace

bool CorsPolicy::allows_any() const { return std::ranges::find(origins, "*") != origins.end(); }

bool CorsPolicy::names(std::string_view origin) const {
  return std::ranges::any_of(
      origins, [&](const std::string& each) { return http::equals_ignoring_case(each, origin); });
}

bool is_preflight(const http::Request& request) {
  return request.method == "OPTIONS" && request.headers.find("origin") &&
         request.headers.find("access-control-request-method");
}

void add_cors_headers(const CorsPolicy& policy, const http::Request& request,
                      http::ResponseWriter& response) {
  const bool any = policy.allows_any();
  // A cache must not give one page the answer that another page may read.
  if (!any) response.add_header("Vary", "Origin");
  const auto origin = request.headers.find("origin");
  if (!origin || (!any && !policy.names(*origin))) return;
  response.add_header("Access-Control-Allow-Origin", any ? "*" : *origin);
  response.add_header("Access-Control-Expose-Headers", kExposed);
}

int add_preflight_headers(const CorsPolicy& policy, const http::Request& request,
                          http::ResponseWriter& response) {
  const std::string_view origin = request.headers.find("origin").value_or("");
  if (!policy.allows_any() && !policy.names(origin)) return 403;
  response.add_header("Access-Control-Allow-Methods", kMethods);
  if (!policy.headers.empty()) {
    response.add_header("Access-Control-Allow-Headers", fmt::format("{}", fmt::join(policy.headers, ", ")));
  } else if (const auto asked = request.headers.find("access-control-request-headers")) {
    response.add_header("Access-Control-Allow-Headers", *asked);
  }
  response.add_header(
      "Access-Control-Max-Age",
      std::to_string(std::chrono::duration_cast<std::chrono::seconds>(policy.max_age).count()));
  // A page of the internet asks for a server in the reader's own network: only for pages that are named.
  if (request.headers.find("access-control-request-private-network") == "true" && policy.names(origin))
    response.add_header("Access-Control-Allow-Private-Network", "true");
  return 204;
}

}  // namespace autoglm::gateway
