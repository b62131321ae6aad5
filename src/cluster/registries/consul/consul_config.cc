#include "cluster/registries/consul/consul_config.h"

#include "base/redact.h"
#include "cluster/membership/endpoint_config.h"
#include "http/message.h"
#include "http/url.h"

#include <fmt/format.h>

namespace autoglm::cluster {

config::Descriptor<ConsulConnection> describe_consul_connection() {
  using C = ConsulConnection;
  return config::Descriptor<C>("consul", "How a Consul is reached.")
      .field("address", &C::address,
             {.doc = "Of its HTTP API, most often the agent on this machine.", .min = 1, .address = true})
      .field(
          "token", &C::token,
          {.doc = "An ACL token: it may read the service and its nodes, and `register` writes the service.",
           .example = "${env:CONSUL_TOKEN}",
           .secret = true})
      .section("tls", &C::tls, describe_endpoint_tls())
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (const auto url = http::Url::parse(c.address); !url)
          wrong.push_back({"address", url.error().message});
        return wrong;
      });
}

config::Descriptor<ConsulConfig> describe_consul() {
  using C = ConsulConfig;
  return config::Descriptor<C>("consul", "A service in Consul.")
      .include(&C::connection, describe_consul_connection())
      .field("service", &C::service,
             {.doc = "The service's name.", .example = "llm", .min = 1, .required = true})
      .field("tags", &C::tags, {.doc = "Tags that Consul selects by; all of them.", .example = "[prod]"})
      .field("datacenter", &C::datacenter, {.doc = "Unset: the agent's."})
      .field("passing", &C::passing,
             {.doc = "False: instances that Consul warns of count, too, with their weight for that."})
      .field("wait", &C::wait,
             {.doc = "How long Consul may hold a query back while nothing changes.", .min = 1, .max = 600});
}

config::Descriptor<ConsulRegistrarConfig> describe_consul_registrar() {
  using C = ConsulRegistrarConfig;
  return config::Descriptor<C>("consul", "A service of a Consul agent.")
      .include(&C::connection, describe_consul_connection())
      .field(
          "check", &C::check,
          {.doc = "How Consul knows that we live. `ttl`: we say so. `http`: it asks /readyz at our address."})
      .field("ttl", &C::ttl,
             {.doc = "How long it believes us without a sign. One comes, or is asked for, every third of it.",
              .min = 3,
              .max = 86'400})
      .field(
          "deregister_after", &C::deregister_after,
          {.doc = "How long it lists us as critical before it forgets us; less than a minute is one minute. "
                  "0: for ever.",
           .max = 31'536'000});
}

std::string consul_health_path(const ConsulConfig& config) {
  std::string path = fmt::format("/v1/health/service/{}?", http::percent_encode(config.service));
  if (config.passing) path += "passing=1&";
  for (const std::string& tag : config.tags) path += fmt::format("tag={}&", http::percent_encode(tag));
  if (!config.datacenter.empty()) path += fmt::format("dc={}&", http::percent_encode(config.datacenter));
  return path;
}

std::string asks(const ConsulConfig& config) {
  std::string path = consul_health_path(config);
  path.pop_back();  // what more is added behind
  return fmt::format("GET {}{}, again with every change", without_secrets(config.connection.address), path);
}

std::string asks(const ConsulRegistrarConfig& config) {
  const std::string address = without_secrets(config.connection.address);
  return fmt::format("PUT {}/v1/agent/service/register, with a check by {} of {} s", address,
                     config.check == ConsulCheck::kTtl ? "ttl" : "GET /readyz",
                     std::chrono::ceil<std::chrono::seconds>(config.ttl).count());
}

}  // namespace autoglm::cluster
