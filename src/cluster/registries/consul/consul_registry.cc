#include "cluster/registries/consul/consul_registry.h"

#include "cluster/membership/endpoint_config.h"
#include "cluster/registries/consul/consul_services.h"
#include "cluster/registries/retry_delay.h"
#include "http/message.h"
#include "runtime/event_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace autoglm::cluster {

namespace {

// Consul may answer at once although nothing changed here; then the next query waits longer and longer.
constexpr Duration kLeastPause = std::chrono::milliseconds(50);
constexpr Duration kMostPause = std::chrono::seconds(1);
constexpr std::size_t kLongAnswer = std::size_t{64} << 10U;  // takes milliseconds to read

RegistryClient::Options client_options(const ConsulConfig& config) {
  RegistryClient::Options options{.addresses = {config.address}, .tls = config.tls};
  if (!config.token.empty()) options.headers.emplace_back("X-Consul-Token", config.token);
  return options;
}

}  // namespace

config::Descriptor<ConsulConfig> describe_consul() {
  using C = ConsulConfig;
  return config::Descriptor<C>("consul", "A service in Consul.")
      .field("address", &C::address,
             {.doc = "Of its HTTP API, most often the agent on this machine.", .min = 1, .address = true})
      .field("service", &C::service,
             {.doc = "The service's name.", .example = "llm", .min = 1, .required = true})
      .field("tags", &C::tags, {.doc = "Tags that Consul selects by; all of them.", .example = "[prod]"})
      .field("datacenter", &C::datacenter, {.doc = "Unset: the agent's."})
      .field("token", &C::token,
             {.doc = "An ACL token that may read the service and its nodes.",
              .example = "${env:CONSUL_TOKEN}",
              .secret = true})
      .field("passing", &C::passing,
             {.doc = "False: instances that Consul warns of count, too, with their weight for that."})
      .field("wait", &C::wait,
             {.doc = "How long Consul may hold a query back while nothing changes.", .min = 1, .max = 600})
      .section("tls", &C::tls, describe_endpoint_tls())
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (const auto url = http::Url::parse(c.address); !url)
          wrong.push_back({"address", url.error().message});
        return wrong;
      });
}

std::uint64_t next_consul_index(std::uint64_t asked, std::string_view said) {
  std::uint64_t index = 0;
  const auto [end, error] = std::from_chars(said.data(), said.data() + said.size(), index);
  if (error != std::errc() || end != said.data() + said.size() || index < asked) return 0;
  return std::max<std::uint64_t>(index, 1);
}

ConsulRegistry::ConsulRegistry(const ConsulConfig& config, std::unique_ptr<RegistryClient> client,
                               BlockingPool& pool)
    : config_(config), client_(std::move(client)), pool_(pool), name_("consul " + config.service) {}

Result<std::unique_ptr<Registry>> ConsulRegistry::create(const ConsulConfig& config, http::Client& client,
                                                         BlockingPool& pool) {
  auto made = RegistryClient::create(client_options(config), client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<Registry>(new ConsulRegistry(config, std::move(*made), pool));
}

std::string ConsulRegistry::path(std::uint64_t index) const {
  std::string path = fmt::format("/v1/health/service/{}?", http::percent_encode(config_.service));
  if (config_.passing) path += "passing=1&";
  for (const std::string& tag : config_.tags) path += fmt::format("tag={}&", http::percent_encode(tag));
  if (!config_.datacenter.empty()) path += fmt::format("dc={}&", http::percent_encode(config_.datacenter));
  return path + fmt::format("index={}&wait={}s", index,
                            std::chrono::ceil<std::chrono::seconds>(config_.wait).count());
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
  Random random = Random::from_entropy();
  RetryDelay delay;
  std::uint64_t index = 0;
  Duration pause = kLeastPause;
  std::optional<std::vector<Instance>> last;
  while (true) {
    const std::string asked = client_->address();
    // The first query, and one after an error, is answered at once.
    auto answer = co_await client_->get(path(index), index == 0 ? Duration::zero() : config_.wait);
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
      index = 0;
      last.reset();
      co_await sleep_for(delay.next(random));
      continue;
    }
    delay.reset();
    index = next_consul_index(index, answer->index);
    // An answer is no proof of a change.
    if (last != *instances) {
      last = *instances;
      sink.push(std::move(*instances));
      pause = kLeastPause;
    } else {
      pause = std::min(2 * pause, kMostPause);
    }
    co_await sleep_for(pause);
  }
}

}  // namespace autoglm::cluster
