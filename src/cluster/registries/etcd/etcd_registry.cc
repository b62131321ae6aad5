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

Result<std::unique_ptr<Registry>> EtcdRegistry::create(const EtcdConfig& config, http::Client& client) {
  auto made = EtcdSession::create(config.connection, client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<Registry>(new EtcdRegistry(config, std::move(*made)));
}

void EtcdRegistry::push(RegistrySink& sink) {
  changed_.clear();
  std::vector<Instance> instances;
  instances.reserve(values_->size());
  // Both are ordered by key; a value that is as it was has been read before.
  auto known = read_.begin();
  for (const auto& [key, each] : *values_) {
    while (known != read_.end() && known->first < key) known = read_.erase(known);
    if (known == read_.end() || known->first != key) known = read_.emplace_hint(known, key, Read());
    // Not by the revision: an etcd that begins anew counts from the start.
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
