#include "cluster/registries/dns/dns_registry.h"

#include "base/random.h"
#include "cluster/registries/dns/dns_query.h"
#include "cluster/registries/retry_delay.h"
#include "runtime/event_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr Duration kShortestTimeToLive = std::chrono::seconds(1);  // some servers say 0

}  // namespace

std::string asks(const DnsConfig& config) {
  std::string type;
  for (const auto& [name, value] : enum_names(DnsType{}))
    if (value == config.type) type = name;
  return fmt::format("ask {} for {} {}, every {} s or as often as its time to live says",
                     config.server.empty() ? "the system's DNS servers" : config.server, type, config.name,
                     to_seconds(config.interval));
}

DnsRegistry::DnsRegistry(DnsConfig config, BlockingPool& names)
    : config_(std::move(config)), names_(names), name_("dns " + config_.name) {}

Task<void> DnsRegistry::run(RegistrySink& sink) {
  Random random = Random::from_entropy();
  RetryDelay delay;
  std::optional<std::vector<Instance>> last;
  while (true) {
    Duration wait = config_.interval;
    // Long: requests look up their servers' names on the same threads.
    auto answer = co_await names_.run([config = config_] { return ask_dns(config); }, {.is_long = true});
    if (!answer || !*answer) {
      sink.fail(answer ? answer->error() : answer.error());
      last.reset();
      wait = std::min(wait, delay.next(random));
    } else {
      delay.reset();
      wait = std::min(wait, std::max((*answer)->time_to_live, kShortestTimeToLive));
      if (last != (*answer)->instances) {
        last = (*answer)->instances;
        sink.push(std::move((*answer)->instances));
      }
    }
    co_await sleep_for(wait);
  }
}

}  // namespace autoglm::cluster
