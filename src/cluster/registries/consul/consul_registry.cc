#include "cluster/registries/consul/consul_registry.h"

#include "cluster/registries/consul/consul_query.h"
#include "cluster/registries/consul/consul_services.h"
#include "http/message.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr std::size_t kLongAnswer = std::size_t{64} << 10U;  // takes milliseconds to read

}  // namespace

config::Descriptor<ConsulConfig> describe_consul() {
  using C = ConsulConfig;
  return config::Descriptor<C>("consul", "A service in Consul.")
      .include(&C::server, describe_consul_server())
      .field("service", &C::service,
             {.doc = "The service's name.", .example = "llm", .min = 1, .required = true})
      .field("tags", &C::tags, {.doc = "Tags that Consul selects by; all of them.", .example = "[prod]"})
      .field("passing", &C::passing,
             {.doc = "False: instances that Consul warns of count, too, with their weight for that."})
      .field("wait", &C::wait,
             {.doc = "How long Consul may hold a query back while nothing changes.", .min = 1, .max = 600});
}

ConsulRegistry::ConsulRegistry(const ConsulConfig& config, std::unique_ptr<RegistryClient> client,
                               BlockingPool& pool)
    : config_(config), client_(std::move(client)), pool_(pool), name_("consul " + config.service) {}

Result<std::unique_ptr<Registry>> ConsulRegistry::create(const ConsulConfig& config, http::Client& client,
                                                         BlockingPool& pool) {
  auto made = consul_client(config.server, client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<Registry>(new ConsulRegistry(config, std::move(*made), pool));
}

std::string ConsulRegistry::path() const {
  std::string path = fmt::format("/v1/health/service/{}?", http::percent_encode(config_.service));
  if (config_.passing) path += "passing=1&";
  for (const std::string& tag : config_.tags) path += fmt::format("tag={}&", http::percent_encode(tag));
  const std::string& datacenter = config_.server.datacenter;
  return datacenter.empty() ? path : path + fmt::format("dc={}&", http::percent_encode(datacenter));
}

Task<Result<std::vector<Instance>>> ConsulRegistry::read(std::string body) {
  if (body.size() < kLongAnswer) co_return read_consul_services(body, config_.passing);
  auto read = co_await pool_.run(
      [body = std::move(body), passing = config_.passing] { return read_consul_services(body, passing); },
      {.is_long = true});
  if (!read) co_return fail(std::move(read).error());
  co_return std::move(*read);
}

Task<void> ConsulRegistry::run(RegistrySink& sink) {
  ConsulQuery query(*client_, path(), config_.wait);
  std::optional<std::vector<Instance>> last;
  while (true) {
    const std::string asked = client_->address();
    auto answer = co_await query.next();
    Result<std::vector<Instance>> instances = fail(Error{});
    if (!answer) {
      instances = fail(std::move(answer).error());
    } else if (answer->status != 200) {
      instances = fail(registry_refused(asked, *answer));
    } else {
      instances = co_await read(std::move(answer->body));
    }
    if (!instances) {
      sink.fail(instances.error());
      if (answer) query.restart();
      last.reset();
      continue;
    }
    const bool news = last != *instances;
    query.told(news);
    if (!news) continue;
    last = *instances;
    sink.push(std::move(*instances));
  }
}

}  // namespace autoglm::cluster
