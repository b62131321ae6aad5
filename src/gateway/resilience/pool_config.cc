#include "gateway/resilience/pool_config.h"

#include "http/url.h"

#include <algorithm>
#include <set>

namespace autoglm::gateway {

namespace {

config::Descriptor<EndpointConfig> describe_endpoint() {
  using C = EndpointConfig;
  return config::Descriptor<C>("endpoint", "A server that answers for the model, one of several.")
      .field("url", &C::url,
             {.doc = "Where its OpenAI API is, `/v1` included.",
              .example = "http://10.0.0.11:8000/v1",
              .min = 1,
              .required = true})
      .field("weight", &C::weight, {.doc = "Its share, beside the others'.", .min = 1, .max = 1'000'000})
      .field("backup", &C::backup, {.doc = "Asked only when no other can be."})
      .field("max_connections", &C::max_connections,
             {.doc = "Requests that it gets at a time. 0: unlimited.", .max = 1'000'000})
      .field("api_key", &C::api_key,
             {.doc = "Sent as `Authorization: Bearer`.", .example = "${env:KEY}", .secret = true})
      .field("model", &C::model, {.doc = "Its own name for the model, where that differs."})
      .field("headers", &C::headers, {.doc = "Further headers of every request to it."})
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (const auto url = api_url(c); !url) wrong.push_back({"url", url.error().message});
        return wrong;
      });
}

config::Descriptor<HealthConfig> describe_health() {
  using C = HealthConfig;
  return config::Descriptor<C>("health", "How endpoints are watched.")
      .field("path", &C::path, {.doc = "What is asked for, at the server's root; a 2xx is health.", .min = 1})
      .field("interval", &C::interval,
             {.doc = "Between two checks, give or take a tenth.", .min = 0.01, .max = 86'400})
      .field("timeout", &C::timeout, {.doc = "For each.", .min = 0.001, .max = 3600})
      .field("unhealthy_after", &C::unhealthy_after,
             {.doc = "Misses in a row that take an endpoint out.", .min = 1, .max = 1000})
      .field("healthy_after", &C::healthy_after,
             {.doc = "Successes in a row that bring it back.", .min = 1, .max = 1000});
}

config::Descriptor<BreakerConfig> describe_breaker() {
  using C = BreakerConfig;
  return config::Descriptor<C>("breaker", "When an endpoint that fails is left alone; Hystrix's parameters.")
      .field("window", &C::window, {.doc = "What is counted, in twenty buckets.", .min = 0.02, .max = 3600})
      .field("request_volume", &C::request_volume,
             {.doc = "Requests in the window below which nothing is decided.", .min = 1, .max = 1'000'000})
      .field("error_percent", &C::error_percent,
             {.doc = "Share of failures from which on it opens.", .min = 1, .max = 100})
      .field("sleep_window", &C::sleep_window,
             {.doc = "Until one request may try again.", .min = 0.001, .max = 3600});
}

config::Descriptor<RetryConfig> describe_retry() {
  using C = RetryConfig;
  return config::Descriptor<C>("retry", "What may be asked of further endpoints when one fails.")
      .field("max_attempts", &C::max_attempts,
             {.doc = "Endpoints that one request may ask, the first included.", .min = 1, .max = 100})
      .field(
          "budget_percent", &C::budget_percent,
          {.doc = "Retries under way, as a share of all requests under way; three in any case.", .max = 100});
}

config::Descriptor<TimeoutsConfig> describe_timeouts() {
  using C = TimeoutsConfig;
  return config::Descriptor<C>("timeouts",
                               "How long an endpoint may take; in the place of `server.request_timeout`.")
      .field("connect", &C::connect, {.doc = "For a connection.", .min = 0.001, .max = 3600})
      .field("first_token", &C::first_token,
             {.doc = "Until the first token of a stream. Unset: `server.request_timeout`.",
              .min = 0.001,
              .max = 86'400})
      .field("idle", &C::idle,
             {.doc = "Between two events of a stream. Unset: `server.request_timeout`.",
              .min = 0.001,
              .max = 86'400})
      .field("total", &C::total,
             {.doc = "For a whole answer, retries included. Unset: `server.request_timeout` where it is not "
                     "streamed, else without end.",
              .min = 0.001,
              .max = 86'400});
}

}  // namespace

Result<http::Url> api_url(const EndpointConfig& endpoint) {
  auto url = http::Url::parse(endpoint.url);
  while (url && url->target.size() > 1 && url->target.ends_with('/')) url->target.pop_back();
  return url;
}

config::Descriptor<PoolConfig> describe_pool() {
  using C = PoolConfig;
  return config::Descriptor<C>("pool", "Several servers that answer for one model.")
      .section("endpoints", &C::endpoints, describe_endpoint())
      .field("balance", &C::balance, {.doc = "Which of the endpoints is asked first."})
      .section("health", &C::health, describe_health())
      .section("breaker", &C::breaker, describe_breaker())
      .section("retry", &C::retry, describe_retry())
      .section("timeouts", &C::timeouts, describe_timeouts())
      .field(
          "fallback", &C::fallback,
          {.doc = "Models of this server that answer when no endpoint can, in order; the answer is marked by "
                  "`x-autoglm-fallback`.",
           .example = "[smollm2]"})
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        std::set<std::string> urls;
        for (std::size_t i = 0; i < c.endpoints.size(); ++i) {
          const auto url = api_url(c.endpoints[i]);
          if (!urls.insert(url->origin() + url->target).second) {
            wrong.push_back({"endpoints[" + std::to_string(i) + "].url",
                             "is an endpoint of this model already; give that one more weight instead"});
          }
        }
        if (!c.endpoints.empty() && std::ranges::all_of(c.endpoints, &EndpointConfig::backup))
          wrong.push_back({"endpoints", "are all backups; one at least must not be"});
        return wrong;
      });
}

}  // namespace autoglm::gateway
