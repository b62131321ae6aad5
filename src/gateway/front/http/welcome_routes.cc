#include "gateway/front/http/welcome_routes.h"

#include "gateway/front/http/welcome_page.h"

#include <algorithm>
#include <utility>

namespace autoglm::gateway {

namespace {

/// The base URL as the browser sees it, for examples. A host with characters that no name or address has is
/// left out, since the examples are for a shell.
std::string base_url(const http::Request& request, bool tls) {
  const auto forwarded = request.headers.find("x-forwarded-proto");
  const bool secure = forwarded ? http::equals_ignoring_case(*forwarded, "https") : tls;
  const std::string_view host = request.headers.find("host").value_or("");
  const bool harmless = !host.empty() && std::ranges::all_of(host, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("-._:[]").contains(c);
  });
  return std::string(secure ? "https://" : "http://").append(harmless ? host : "HOST");
}

Task<void> show_page(const LiveDirectory& live, const Readiness& readiness, const WelcomeSettings& settings,
                     const http::Request& request, http::ResponseWriter& response, RequestRecord& record) {
  WelcomeFacts facts{.version = settings.version,
                     .base_url = base_url(request, settings.tls),
                     .models = {},
                     .draining = readiness.leaving(),
                     .has_metrics = settings.metrics};
  const auto models = live.now();
  for (const auto& entry : models->entries()) {
    if (record.caller && !record.caller->may_use(entry.name)) continue;
    facts.models.push_back({.card = entry.endpoint->card(), .status = entry.endpoint->status()});
    facts.models.back().card.name = entry.name;
  }
  response.add_header("Content-Security-Policy", kWelcomePolicy);
  response.add_header("X-Content-Type-Options", "nosniff");
  response.add_header("Referrer-Policy", "no-referrer");
  response.add_header("Cache-Control", "no-store");
  record.status = 200;
  record.complete = true;
  co_await response.send(200, "text/html; charset=utf-8", welcome_page(facts));
}

}  // namespace

std::vector<Route> welcome_routes(const LiveDirectory& models, const Readiness& readiness,
                                  WelcomeSettings settings) {
  return {
      {"GET", "/", "",
       [&models, &readiness, settings = std::move(settings)](
           http::Request& request, http::ResponseWriter& response, RequestRecord& record) {
         return show_page(models, readiness, settings, request, response, record);
       },
       [](const http::Request& request) { return wants_page(request.headers.find("accept").value_or("")); }}};
}

}  // namespace autoglm::gateway
