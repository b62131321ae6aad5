#include "cluster/registries/consul/consul_registry.h"

#include "cluster/registries/consul/consul_client.h"
#include "cluster/registries/consul/consul_services.h"
#include "cluster/registries/retry_delay.h"
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

}  // namespace

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
  auto made = RegistryClient::create(consul_options(config.connection), client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<Registry>(new ConsulRegistry(config, std::move(*made), pool));
}

std::string ConsulRegistry::path(std::uint64_t index) const {
  return fmt::format("{}&index={}", consul_query(config_), index);
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
