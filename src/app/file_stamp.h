#pragma once

#include <cstdint>
#include <string>

namespace autoglm::app {

/// What tells a file from what it was: replaced, written to, or behind a link that was turned, as Kubernetes
/// does.
struct FileStamp {
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  std::int64_t size = -1;  ///< -1: there is none
  std::int64_t modified = 0;

  bool operator==(const FileStamp&) const = default;
  bool exists() const { return size >= 0; }
};

FileStamp stamp_of(const std::string& path);

}  // namespace autoglm::app
