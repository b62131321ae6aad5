#pragma once

#include "cluster/registries/nacos/nacos_channel.h"
#include "cluster/registries/nacos/nacos_config.h"
#include "cluster/registries/nacos/nacos_messages.h"
#include "cluster/registries/registry.h"
#include "runtime/blocking_pool.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::cluster {

/// The instances of a service in Nacos: pushed over gRPC, and asked for again in intervals in case that a
/// push was lost; or, over HTTP, asked for in intervals.
class NacosRegistry final : public Registry {
 public:
  /// `pool` reads long answers and looks up names; it outlives the registry's task. Errors: a certificate
  /// that cannot be read.
  static Result<std::unique_ptr<Registry>> create(const NacosConfig& config, http::Client& client,
                                                  BlockingPool& pool);

  Task<void> run(RegistrySink& sink) override;
  const std::string& name() const override { return name_; }

 private:
  NacosRegistry(const NacosConfig& config, std::unique_ptr<NacosChannel> nacos, BlockingPool& pool);
  Task<Result<NacosService>> read(std::string body);
  Task<Result<NacosService>> ask();
  Task<Result<void>> poll(RegistrySink& sink, Deadline until);
  Task<Result<void>> follow(RegistrySink& sink);
  void tell(RegistrySink& sink, std::vector<Instance> instances);

  const NacosConfig config_;
  const std::unique_ptr<NacosChannel> nacos_;
  BlockingPool& pool_;
  const std::string name_;
  std::optional<std::vector<Instance>> last_;  // nothing: the registry has failed since
  bool v3_ = false;                            // there is no v1
};

}  // namespace autoglm::cluster
