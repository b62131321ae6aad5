#include "cluster/registries/etcd/etcd_registry.h"

#include <utility>

namespace autoglm::cluster {

Result<std::unique_ptr<Registry>> EtcdRegistry::create(const EtcdConfig& config, http::Client& client) {
  auto made = EtcdSession::create(config.connection, client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<Registry>(new EtcdRegistry(config, std::move(*made)));
}

Task<void> EtcdRegistry::run(RegistrySink& sink) {
  co_await watch_.run(
      [&sink](const EtcdWatch::Values& values) {
        std::vector<Instance> instances;
        for (const auto& [key, each] : values)
          if (auto instance = read_etcd_instance(*each.value)) instances.push_back(std::move(*instance));
        sink.push(std::move(instances));
      },
      [&sink](const Error& error) { sink.fail(error); });
}

}  // namespace autoglm::cluster
