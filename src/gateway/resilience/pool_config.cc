#include "gateway/resilience/pool_config.h"

#include "cluster/membership/endpoint_config.h"
#include "gateway/resilience/pool_warnings.h"

#include <algorithm>
#include <set>
#include <utility>

namespace autoglm::gateway {

namespace {

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
      .field(
          "max_attempts", &C::max_attempts,
          {.doc =
               "How often a request may be sent, the first time included. Going on with a stream that broke "
               "may be tried as often again.",
           .min = 1,
           .max = 100})
      .field(
          "budget_percent", &C::budget_percent,
          {.doc = "Retries under way, as a share of all requests under way; three in any case.", .max = 100})
      .field("backoff", &C::backoff,
             {.doc = "When all endpoints have been asked once: how long until the first is asked again, at "
                     "most; twice that the next time. A `Retry-After` counts, too.",
              .min = 0.001,
              .max = 60})
      .field("max_backoff", &C::max_backoff,
             {.doc = "The most that is waited before an endpoint is asked again; whoever would have to wait "
                     "longer tells its client instead.",
              .max = 60});
}

config::Descriptor<QueueConfig> describe_queue() {
  using C = QueueConfig;
  return config::Descriptor<C>(
             "queue",
             "Requests that wait while the model has its `concurrent`, or every endpoint its "
             "`max_connections`.")
      .field(
          "size", &C::size,
          {.doc = "How many may. Beyond `concurrent`, further ones are told 429, or take the place of a less "
                  "important one; beyond `max_connections`, they are told 503.",
           .max = 10'000'000})
      .field("timeout", &C::timeout, {.doc = "For how long, at most.", .min = 0.001, .max = 3600});
}

config::Descriptor<HedgeConfig> describe_hedge() {
  using C = HedgeConfig;
  return config::Descriptor<C>(
             "hedge", "Asks a second endpoint of a stream when the first is silent for longer than most are.")
      .field("percentile", &C::percentile,
             {.doc = "Of the times until the first token, which are learnt, the one behind which the second "
                     "is asked. 0: never.",
              .example = "95",
              .max = 99})
      .field("min_delay", &C::min_delay, {.doc = "Never sooner than this.", .min = 0.001, .max = 3600});
}

config::Descriptor<TimeoutsConfig> describe_timeouts() {
  using C = TimeoutsConfig;
  return config::Descriptor<C>("timeouts",
                               "How long an endpoint may take; in the place of `server.request_timeout`.")
      .field("connect", &C::connect, {.doc = "For a connection.", .min = 0.001, .max = 3600})
      .field("reuse", &C::reuse,
             {.doc = "How old a connection may be that serves a further request. A new one goes where the "
                     "host's name points by then.",
              .max = 86'400})
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

config::Descriptor<PoolConfig> describe_pool() {
  using C = PoolConfig;
  return config::Descriptor<C>("pool", "Several servers that answer for one model.")
      .section("endpoints", &C::endpoints, cluster::describe_endpoint().warn(endpoint_warnings))
      .section("discover", &C::discover, cluster::describe_discover())
      .field("balance", &C::balance, {.doc = "Which of the endpoints is asked first."})
      .section("health", &C::health, cluster::describe_health())
      .section("ejection", &C::ejection, cluster::describe_ejection())
      .section("breaker", &C::breaker, describe_breaker())
      .section("retry", &C::retry, describe_retry())
      .section("queue", &C::queue, describe_queue())
      .section("hedge", &C::hedge, describe_hedge())
      .section("timeouts", &C::timeouts, describe_timeouts())
      .field(
          "pass", &C::pass,
          {.doc =
               "Paths below `/v1/`, with all that is below them, that this server does not know: requests to "
               "them go to an endpoint as they are, balanced and retried as others. Of several models "
               "the one that the body names, else the first that has the path.",
           .example = "[embeddings, responses, audio/transcriptions]"})
      .field(
          "continue_text", &C::continue_text,
          {.doc = "Whether another endpoint goes on with a stream that broke, by its text, where the server "
                  "is not one of ours and can: vLLM and SGLang, and every completion. The rest of the text "
                  "may differ from what the first would have said."})
      .field(
          "fallback", &C::fallback,
          {.doc = "Models of this server that answer when no endpoint can, in order; the answer is marked by "
                  "`x-autoglm-fallback`.",
           .example = "[smollm2]"})
      .field(
          "static_answer", &C::static_answer,
          {.doc = "What is answered when those cannot either, marked by `x-autoglm-fallback: static`. Unset: "
                  "503.",
           .example = "We are busy just now; please ask again in a minute."})
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        std::set<std::string> urls;
        for (std::size_t i = 0; i < c.endpoints.size(); ++i) {
          const auto url = cluster::api_url(c.endpoints[i]);
          if (!urls.insert(url->origin() + url->target).second) {
            wrong.push_back({"endpoints[" + std::to_string(i) + "].url",
                             "is an endpoint of this model already; give that one more weight instead"});
          }
        }
        for (std::size_t i = 0; i < c.pass.size(); ++i) {
          const std::string& path = c.pass[i];
          const bool whole =
              !path.empty() && path.front() != '/' && path.back() != '/' && !path.starts_with("v1/");
          if (!whole || path.find_first_of("?%\\ ") != std::string::npos ||
              path.find("..") != std::string::npos)
            wrong.push_back({"pass[" + std::to_string(i) + "]",
                             "must be a path below /v1/, such as embeddings or audio/transcriptions"});
        }
        if (!c.endpoints.empty() && c.discover.empty() &&
            std::ranges::all_of(c.endpoints, &cluster::EndpointSpec::backup))
          wrong.push_back({"endpoints", "are all backups; one at least must not be"});
        return wrong;
      })
      .warn(pool_warnings);
}

Duration memory_of(const PoolConfig& config) {
  // An ejection takes `max_time` at most, and its number counts for as long again.
  return std::max({Duration(std::chrono::minutes(1)), config.breaker.window + config.breaker.sleep_window,
                   2 * config.ejection.max_time});
}

}  // namespace autoglm::gateway
