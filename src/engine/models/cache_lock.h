#pragma once

#include "base/result.h"
#include "engine/models/file_handle.h"

#include <filesystem>
#include <optional>

namespace autoglm::engine {

/// Keeps other processes, and other threads of this one, from changing a folder of the cache; ends with its
/// owner, however that ends. `tools/fetch_default_model.sh` takes the same.
class CacheLock {
 public:
  static constexpr std::string_view kFile = ".lock";

  /// Nothing when somebody else has it. Makes the folder. Errors: kUnavailable, what is wrong with it.
  static Result<std::optional<CacheLock>> try_take(const std::filesystem::path& folder);

  /// Who has it, for people: "process 123"; as far as is known.
  static std::string holder(const std::filesystem::path& folder);
  /// Whether somebody has it now; makes nothing.
  static bool is_held(const std::filesystem::path& folder);

 private:
  explicit CacheLock(FileHandle file) : file_(std::move(file)) {}
  FileHandle file_;
};

}  // namespace autoglm::engine
