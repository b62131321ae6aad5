#pragma once

#include "base/result.h"
#include "engine/models/model_name.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::engine {

/// The models on this machine: files anywhere, and fetched models in the cache. Stateless; each call looks at
/// the disk. Thread-safe.
class ModelStore {
 public:
  explicit ModelStore(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path folder(const ModelName& name) const { return root_ / name.folder; }

  /// Parses `text`; a text that exists as a file or folder is a path. Errors: as `ModelName::parse`.
  static Result<ModelName> name(std::string_view text);

  /// The file to load (the first one of a split model), if it is here and complete. Errors: a path to a
  /// folder that holds no model, or several. A path to nothing is returned unchanged, and fails when it is
  /// loaded.
  Result<std::optional<std::filesystem::path>> find(const ModelName& name) const;

  /// A model that is here, completely or in part.
  struct Item {
    std::string name;                   ///< in the form that `pull` and `serve` accept
    std::string about;                  ///< from the catalogue
    std::uint64_t bytes = 0;            ///< on this machine
    std::optional<unsigned> percent{};  ///< of an unfinished model, if its size is known
    enum class State : std::uint8_t { kAbsent, kReady, kPartial, kPulling } state = State::kAbsent;
  };
  /// The catalogue's models, and all others in the cache.
  std::vector<Item> items() const;

  /// Removes the model `name`, finished or not; returns its bytes. Errors: kNotFound when none of it is here,
  /// kInvalidArgument for a path outside the cache, kUnavailable while it is being pulled.
  Result<std::uint64_t> remove(const ModelName& name) const;

 private:
  std::filesystem::path root_;
};

}  // namespace autoglm::engine
