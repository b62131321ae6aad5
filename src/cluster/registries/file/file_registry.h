#pragma once

#include "cluster/registries/file/file_config.h"
#include "cluster/registries/registry.h"
#include "runtime/blocking_pool.h"

#include <optional>
#include <string>

namespace autoglm::cluster {

/// Lists that other programs write, as Prometheus' file_sd has them. A file that is replaced, written in
/// place, or behind a link that is swapped (a ConfigMap) is read again; one that is gone, or wrong, leaves
/// the last list in force.
class FileRegistry final : public Registry {
 public:
  /// `pool` reads the file; it outlives the registry's task.
  FileRegistry(FileConfig config, BlockingPool& pool);

  Task<void> run(RegistrySink& sink) override;
  const std::string& name() const override { return name_; }

 private:
  const FileConfig config_;
  BlockingPool& pool_;
  const std::string name_;
};

}  // namespace autoglm::cluster
