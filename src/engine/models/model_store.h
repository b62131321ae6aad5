#pragma once

#include "base/result.h"
#include "engine/models/model_name.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::engine {

/// What is on this machine: files that people put anywhere, and what was fetched into the cache. Stateless;
/// each call looks. Thread-safe.
class ModelStore {
 public:
  explicit ModelStore(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path folder(const ModelName& name) const { return root_ / name.folder; }

  /// `text` as a name; what exists on this machine is a path. Errors: as `ModelName::parse`.
  static Result<ModelName> name(std::string_view text);

  /// The file to load (of a split model its first), if it is here and whole. Errors: a path to a folder that
  /// holds no model, or several; a path to nothing is returned as it is, and fails when it is loaded.
  Result<std::optional<std::filesystem::path>> find(const ModelName& name) const;

  /// A model that is here, or half of it.
  struct Item {
    std::string name;                   ///< as `pull` and `serve` take it
    std::string about;                  ///< of the catalogue
    std::uint64_t bytes = 0;            ///< on this machine
    std::optional<unsigned> percent{};  ///< of an unfinished one, where its size is known
    enum class State : std::uint8_t { kAbsent, kReady, kPartial, kPulling } state = State::kAbsent;
  };
  /// The catalogue's, and what else is in the cache.
  std::vector<Item> items() const;

  /// Removes what `name` means, finished or not; returns its bytes. Errors: kNotFound when none of it is
  /// here, kInvalidArgument for a path outside the cache, kUnavailable while somebody pulls it.
  Result<std::uint64_t> remove(const ModelName& name) const;

 private:
  std::filesystem::path root_;
};

}  // namespace autoglm::engine
