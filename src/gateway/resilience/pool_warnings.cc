#include "gateway/resilience/pool_warnings.h"

#include "config/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm::gateway {

namespace {

using config::to_string;
using Warnings = std::vector<config::Violation>;

bool has(const config::Node& written, std::string_view path) { return find(written, path) != nullptr; }

/// Warns of settings that need a second endpoint.
void warn_of_one_endpoint(const PoolConfig& config, const config::Node& written, Warnings& warnings) {
  if (has(written, "breaker") && config.fallback.empty() && config.static_answer.empty()) {
    warnings.push_back(
        {"breaker",
         fmt::format("leaves the only endpoint alone when it opens: every request is told 503 for {}; "
                     "add an endpoint, or a `fallback`, or remove this key",
                     to_string(config.breaker.sleep_window))});
  }
  if (config.hedge.percentile > 0)
    warnings.push_back(
        {"hedge", "never asks a second endpoint, for there is one; add another, or remove this key"});
  if (has(written, "balance"))
    warnings.push_back({"balance", "has one endpoint to choose from; add another, or remove this key"});
}

void warn_of_counts(const PoolConfig& config, const config::Node& written, Warnings& warnings) {
  const std::size_t endpoints = config.endpoints.size();
  if (has(written, "retry.max_attempts") && config.retry.max_attempts > endpoints) {
    warnings.push_back(
        {"retry.max_attempts",
         fmt::format("is above the number of endpoints, {}: further attempts ask those again that have just "
                     "failed, after `retry.backoff`; write {}, or add endpoints",
                     endpoints, endpoints)});
  }
  const bool ejects =
      config.ejection.consecutive_failures > 0 ||
      std::ranges::any_of(config.endpoints, [](const auto& each) { return each.max_fails > 0; });
  const bool may_eject = endpoints > 1 && endpoints * config.ejection.max_percent >= 100;
  const bool asks_to =
      has(written, "ejection") ||
      std::ranges::any_of(config.endpoints, [](const auto& each) { return each.max_fails > 0; });
  if (asks_to && ejects && !may_eject) {
    warnings.push_back(
        {has(written, "ejection") ? "ejection" : "endpoints",
         fmt::format("asks to leave out endpoints that fail, but of {} at most {} % may be out at a "
                     "time (`ejection.max_percent`), and one always stays: none ever is",
                     endpoints, config.ejection.max_percent)});
  }
}

void warn_of_queue(const PoolConfig& config, const config::Node& written, Warnings& warnings) {
  const bool waits_for_endpoints =
      !config.endpoints.empty() &&
      std::ranges::none_of(config.endpoints, [](const auto& each) { return each.max_connections == 0; });
  // These two are the model's keys, beside the pool's.
  const bool waits_for_model = has(written, "concurrent") || has(written, "concurrency");
  if (has(written, "queue") && !waits_for_endpoints && !waits_for_model) {
    warnings.push_back({"queue",
                        "is never used: requests wait for a place only where the model has `concurrent`, or "
                        "every endpoint `max_connections`; set one, or remove this key"});
  }
}

void warn_of_times(const PoolConfig& config, Warnings& warnings) {
  const TimeoutsConfig& times = config.timeouts;
  const auto longer = [&](const char* key, Duration time, std::string_view than, Duration other) {
    if (time > other) {
      warnings.push_back({std::string("timeouts.") + key,
                          fmt::format("is {}, longer than {}, {}, which ends the wait first; make it shorter",
                                      to_string(time), than, to_string(other))});
    }
  };
  if (times.total && times.first_token)
    longer("first_token", *times.first_token, "`timeouts.total`", *times.total);
  if (times.total && times.idle) longer("idle", *times.idle, "`timeouts.total`", *times.total);
  if (times.first_token) longer("connect", times.connect, "`timeouts.first_token`", *times.first_token);
  if (config.health.timeout > config.health.interval) {
    warnings.push_back(
        {"health.timeout",
         fmt::format(
             "is {}, longer than `health.interval`, {}: the next check waits for it, so an endpoint that "
             "hangs is out only after {}; make it shorter",
             to_string(config.health.timeout), to_string(config.health.interval),
             to_string(config.health.unhealthy_after * (config.health.timeout + config.health.interval)))});
  }
}

/// Whether a host may be on the public internet: an address outside the private ranges, or a name with a dot
/// that is not one of a cluster's.
bool is_public(std::string_view host) {
  if (host.find(':') != std::string_view::npos) return !host.starts_with("f") && host != "::1";
  const bool address = host.find_first_not_of("0123456789.") == std::string_view::npos;
  if (!address) {
    const auto within = [&](std::string_view zone) { return host.ends_with(zone); };
    return host.find('.') != std::string_view::npos && !within(".local") && !within(".internal") &&
           !within(".svc") && !within(".lan") && !within(".localdomain");
  }
  if (host.starts_with("10.") || host.starts_with("127.") || host.starts_with("192.168.")) return false;
  const auto second =
      host.substr(0, 4) == "172." ? host.substr(4, host.find('.', 4) - 4) : std::string_view();
  return !(second.size() == 2 && second >= "16" && second <= "31");
}

}  // namespace

Warnings endpoint_warnings(const cluster::EndpointSpec& config, const config::Node& written) {
  Warnings warnings;
  const auto url = cluster::api_url(config);
  const std::string_view path = url->path();
  const bool openai = config.protocol == cluster::EndpointProtocol::kOpenAi;
  if (path == "/" && openai) {
    warnings.push_back(
        {"url", fmt::format("has no path, so that {0}/chat/completions will be asked; most servers "
                            "have their API at {0}/v1",
                            url->origin())});
  } else if (openai && (path.ends_with("/completions") || path.ends_with("/models"))) {
    warnings.push_back(
        {"url", fmt::format("is one call of the API; give the address that all calls begin with, "
                            "such as {}/v1",
                            url->origin())});
  }
  if (!openai && (path.contains("/deployments/") || path.ends_with("/messages") || path.ends_with("/api") ||
                  path.ends_with("/v2"))) {
    warnings.push_back(
        {"url", fmt::format("has the path {}, which calls of this `protocol` begin with anyway; give "
                            "the server's address alone, such as {}",
                            path, url->origin())});
  }
  if (has(written, "api_key") && config.api_key.empty())
    warnings.push_back({"api_key", "is empty, and none is sent; set the variable, or remove this key"});
  if (!url->tls && !config.api_key.empty() && is_public(url->host.host)) {
    warnings.push_back(
        {"url", "is plain http, and `api_key` goes over the network for everybody to read; write https"});
  }
  if (!url->tls && has(written, "tls"))
    warnings.push_back({"tls", "is never used: `url` is plain http; write https, or remove this key"});
  if (url->tls && !config.tls.verify) {
    warnings.push_back({"tls.verify",
                        "is false: whoever answers at this address is believed; give its authority "
                        "in `tls.ca` instead"});
  }
  return warnings;
}

Warnings pool_warnings(const PoolConfig& config, const config::Node& written) {
  Warnings warnings;
  warn_of_queue(config, written, warnings);
  if (config.endpoints.empty() && config.discover.empty()) return warnings;
  if (config.discover.empty()) {  // nobody knows how many are found
    if (config.endpoints.size() == 1) warn_of_one_endpoint(config, written, warnings);
    warn_of_counts(config, written, warnings);
  }
  warn_of_times(config, warnings);
  return warnings;
}

}  // namespace autoglm::gateway
