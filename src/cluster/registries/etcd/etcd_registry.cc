#include "cluster/registries/etcd/etcd_registry.h"

#include "cluster/registries/work_pace.h"
#include "runtime/event_loop.h"
#include "runtime/race.h"

#include <functional>
#include <utility>
#include <vector>

namespace autoglm::cluster {

namespace {

constexpr Duration kEtcdRest = std::chrono::milliseconds(800);  // a change is asked within a second

}  // namespace

config::Descriptor<EtcdConfig> describe_etcd() {
  using C = EtcdConfig;
  return config::Descriptor<C>("etcd",
                               "Keys of etcd whose values are addresses, as gRPC's naming writes them, or "
                               "`host:port`, or URLs.")
      .include(&C::servers, describe_etcd_servers())
      .field("prefix", &C::prefix,
             {.doc = "Where its servers' keys begin.",
              .example = "/autoglm/services/smollm2/",
              .min = 1,
              .required = true});
}

Result<std::unique_ptr<Registry>> EtcdRegistry::create(const EtcdConfig& config, http::Client& client) {
  auto made = EtcdClient::create(config.servers, client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<Registry>(new EtcdRegistry(config, std::move(*made)));
}

void EtcdRegistry::push(RegistrySink& sink) {
  changed_.clear();
  std::vector<Instance> instances;
  instances.reserve(values_->size());
  // Both are ordered by key; a value that was read before is not read again.
  auto known = read_.begin();
  for (const auto& [key, each] : *values_) {
    while (known != read_.end() && known->first < key) known = read_.erase(known);
    if (known == read_.end() || known->first != key) known = read_.emplace_hint(known, key, Read());
    // Not by its revision: an etcd that was rolled back gives a number twice.
    const std::size_t hash = std::hash<std::string>()(*each.value);
    if (known->second.hash != hash)
      known->second = {.hash = hash, .instance = read_etcd_instance(*each.value)};
    if (known->second.instance) instances.push_back(*known->second.instance);
    ++known;
  }
  read_.erase(known, read_.end());
  sink.push(std::move(instances));
}

/// A prefix whose keys change all the time is a long list each time.
Task<void> EtcdRegistry::push_changes(RegistrySink& sink) {
  while (true) {
    co_await changed_.wait();
    const WorkPace pace;
    push(sink);
    co_await sleep_for(pace.rest(kEtcdRest));
  }
}

Task<void> EtcdRegistry::run(RegistrySink& sink) {
  auto watch = watch_.run(
      [this](const EtcdWatch::Values& values) {
        values_ = &values;
        changed_.set();
      },
      [this, &sink](const Error& error) {
        if (changed_.is_set()) push(sink);
        sink.fail(error);
      });
  co_await first_of(std::move(watch), push_changes(sink));
}

}  // namespace autoglm::cluster
