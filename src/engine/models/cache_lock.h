#pragma once

#include "base/result.h"
#include "engine/models/file_handle.h"

#include <filesystem>
#include <optional>

namespace autoglm::engine {

/// Keeps other processes, and other threads of this one, from changing a folder of the cache. The lock ends
/// with its owner, however the owner ends. `tools/fetch_default_model.sh` takes the same lock.
class CacheLock {
 public:
  static constexpr std::string_view kFile = ".lock";

  /// Nothing when the lock is taken. Makes the folder. Errors: kUnavailable, the folder cannot be used.
  static Result<std::optional<CacheLock>> try_take(const std::filesystem::path& folder);

  /// The lock's holder, for people: "process 123", as far as it is known.
  static std::string holder(const std::filesystem::path& folder);
  /// Whether the lock is held now; makes nothing.
  static bool is_held(const std::filesystem::path& folder);

 private:
  explicit CacheLock(FileHandle file) : file_(std::move(file)) {}
  FileHandle file_;
};

}  // namespace autoglm::engine
