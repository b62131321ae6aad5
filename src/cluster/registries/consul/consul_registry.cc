#include "cluster/registries/consul/consul_registry.h"

#include "cluster/registries/consul/consul_client.h"
#include "cluster/registries/consul/consul_query.h"
#include "cluster/registries/consul/consul_services.h"

#include <optional>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr std::size_t kLongAnswer = std::size_t{64} << 10U;  // takes milliseconds to read

}  // namespace

ConsulRegistry::ConsulRegistry(const ConsulConfig& config, std::unique_ptr<RegistryClient> client,
                               BlockingPool& pool)
    : config_(config), client_(std::move(client)), pool_(pool), name_("consul " + config.service) {}

Result<std::unique_ptr<Registry>> ConsulRegistry::create(const ConsulConfig& config, http::Client& client,
                                                         BlockingPool& pool) {
  auto made = RegistryClient::create(consul_options(config.connection), client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<Registry>(new ConsulRegistry(config, std::move(*made), pool));
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
  ConsulQuery query(*client_, consul_health_path(config_), config_.wait);
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
