#pragma once

#include "config/descriptor.h"

#include <string>

namespace autoglm::center {

/// `center.file`.
struct FileDocumentConfig {
  std::string path;

  bool operator==(const FileDocumentConfig&) const = default;
};

config::Descriptor<FileDocumentConfig> describe_file_document();

/// What it will ask, for people.
std::string asks(const FileDocumentConfig& config);

}  // namespace autoglm::center
