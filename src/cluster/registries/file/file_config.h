#pragma once

#include "base/clock.h"
#include "config/descriptor.h"

#include <string>

namespace autoglm::cluster {

/// `discover[].file`.
struct FileConfig {
  std::string path;
  Duration interval = std::chrono::seconds(1);

  bool operator==(const FileConfig&) const = default;
};

config::Descriptor<FileConfig> describe_file_registry();

}  // namespace autoglm::cluster
