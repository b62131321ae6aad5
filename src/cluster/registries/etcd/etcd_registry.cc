#include "cluster/registries/etcd/etcd_registry.h"

#include <utility>

namespace autoglm::cluster {

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
