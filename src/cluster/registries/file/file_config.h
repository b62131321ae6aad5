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

/// What it will look at, for people.
std::string asks(const FileConfig& config);

}  // namespace autoglm::cluster
