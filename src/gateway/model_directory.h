#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "inference/endpoint.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// How long a call may take. `API_TIMEOUT` sets the first three.
struct CallTimeouts {
  Duration request = std::chrono::seconds(30);  ///< a whole answer that is not streamed, queueing included
  Duration first_token = std::chrono::seconds(30);  ///< a stream's wait for its first token
  Duration idle = std::chrono::seconds(30);         ///< and for each next one
  Duration total = Duration::max();                 ///< a whole stream
};

/// Which models there are, and who answers for each. Immutable once built; shared by all loops.
class ModelDirectory {
 public:
  struct Entry {
    std::string name;
    Endpoint* endpoint;  ///< not owned; outlives the directory
    CallTimeouts timeouts = {};
  };

  /// The first entry is the default model.
  explicit ModelDirectory(std::vector<Entry> entries) : entries_(std::move(entries)) {}

  /// By the name a client sends; empty: the default. Errors: kNotFound that lists the known names.
  Result<const Entry*> find(std::string_view name) const;

  std::span<const Entry> entries() const { return entries_; }
  std::vector<ModelCard> cards() const;

 private:
  std::vector<Entry> entries_;
};

}  // namespace autoglm::gateway
