#pragma once

#include "cluster/registries/dns/dns_config.h"
#include "cluster/registries/registry.h"
#include "runtime/blocking_pool.h"

#include <string>

namespace autoglm::cluster {

/// The servers behind a name of the DNS. A name that does not exist has none; servers of the DNS that do not
/// answer leave the last list in force.
class DnsRegistry final : public Registry {
 public:
  /// `names` asks the DNS, which blocks; it outlives the registry's task.
  DnsRegistry(DnsConfig config, BlockingPool& names);

  Task<void> run(RegistrySink& sink) override;
  const std::string& name() const override { return name_; }

 private:
  const DnsConfig config_;
  BlockingPool& names_;
  const std::string name_;
};

}  // namespace autoglm::cluster
