#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "inference/caller.h"
#include "inference/endpoint.h"

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// How long a call may take. `API_TIMEOUT` sets the first three.
struct CallTimeouts {
  Duration request = std::chrono::seconds(30);  ///< a whole answer that is not streamed, queueing included
  Duration first_token = std::chrono::seconds(30);  ///< a stream's wait for its first token
  Duration idle = std::chrono::seconds(30);         ///< a stream's wait for each next token
  Duration total = Duration::max();                 ///< a whole stream
};

/// The models, and the endpoint that answers for each. Immutable once built; shared by all loops.
class ModelDirectory {
 public:
  struct Entry {
    std::string name;
    std::shared_ptr<Endpoint> endpoint;
    CallTimeouts timeouts = {};
    std::vector<std::string> aliases = {};  ///< further names for clients
  };

  /// The first entry is the default model.
  explicit ModelDirectory(std::vector<Entry> entries) : entries_(std::move(entries)) {}

  /// By the name a client sends; empty: the default. A name is also found without its tag ":latest", or with
  /// it. `caller`: null: one who may use all models. Errors: kNotFound that lists the names that the caller
  /// may use; kPermissionDenied: the model is there, and not for this caller.
  Result<const Entry*> find(std::string_view name, const Caller* caller = nullptr) const;

  std::span<const Entry> entries() const { return entries_; }
  /// A card for each name, aliases included.
  std::vector<ModelCard> cards() const;

 private:
  const Entry* named(std::string_view name) const;
  const Entry* find_any(std::string_view name) const;

  std::vector<Entry> entries_;
};

/// The current directory, replaced as a whole: a snapshot keeps all endpoints in it alive.
class LiveDirectory {
 public:
  explicit LiveDirectory(std::size_t loops)
      : LiveDirectory(loops, std::make_shared<const ModelDirectory>(std::vector<ModelDirectory::Entry>())) {}
  LiveDirectory(std::size_t loops, std::shared_ptr<const ModelDirectory> first)
      : of_loop_(loops, first), now_(std::move(first)) {}

  /// On any thread.
  std::shared_ptr<const ModelDirectory> now() const {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  void set(std::shared_ptr<const ModelDirectory> directory) {
    const std::lock_guard lock(mutex_);
    now_ = std::move(directory);
  }
  /// On the loop of that index, for requests: no lock. Brought up to date by `refresh`.
  const std::shared_ptr<const ModelDirectory>& of_loop(std::size_t index) const { return of_loop_[index]; }
  /// On that loop, after each `set`.
  void refresh(std::size_t index) { of_loop_[index] = now(); }

 private:
  std::vector<std::shared_ptr<const ModelDirectory>> of_loop_;
  mutable std::mutex mutex_;
  std::shared_ptr<const ModelDirectory> now_;
};

}  // namespace autoglm::gateway
