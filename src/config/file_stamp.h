#pragma once

#include <cstdint>
#include <string>

namespace autoglm::config {

/// Shows whether a file has changed: was replaced, written to, or is behind a link that now points elsewhere,
/// as in Kubernetes.
struct FileStamp {
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  std::int64_t size = -1;  ///< -1: no such file
  std::int64_t modified = 0;

  bool operator==(const FileStamp&) const = default;
  bool exists() const { return size >= 0; }
};

FileStamp stamp_of(const std::string& path);

}  // namespace autoglm::config
