#pragma once

#include "base/result.h"
#include "inference/endpoint.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// Which models there are, and who answers for each. Immutable once built; shared by all loops.
class ModelDirectory {
 public:
  struct Entry {
    std::string name;
    Endpoint* endpoint;  ///< not owned; outlives the directory
  };

  /// The first entry is the default model.
  explicit ModelDirectory(std::vector<Entry> entries) : entries_(std::move(entries)) {}

  /// By the name a client sends; empty: the default. Errors: kNotFound that lists the known names.
  Result<Endpoint*> find(std::string_view name) const;

  std::span<const Entry> entries() const { return entries_; }
  std::vector<ModelCard> cards() const;

 private:
  std::vector<Entry> entries_;
};

}  // namespace autoglm::gateway
