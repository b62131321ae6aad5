#pragma once

#include "engine/models/hub.h"
#include "engine/models/model_store.h"
#include "engine/models/transfer.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>

namespace autoglm::engine {

/// Callbacks of a pull, on the thread that called it.
struct PullHooks {
  /// Called several times a second with the model's bytes that have arrived, and the total. False ends the
  /// pull; what has arrived is kept.
  std::function<bool(std::uint64_t done, std::optional<std::uint64_t> total)> progress;
  std::function<void(std::string_view line)> say;
};

struct PulledModel {
  std::filesystem::path path;  ///< the file to load
  bool was_here = false;
};

/// Fetches a model into the cache, unless it is there: resumes what an earlier pull left, checks the digests
/// that the hub states, and gives files their names when they are complete. A second pull of the same model,
/// here or in another process, waits for the first. Blocks until the download is done. Errors say what to do;
/// kCancelled when `progress` returned false.
Result<PulledModel> pull_model(const ModelStore& store, const ModelName& name, const HubSettings& settings,
                               const PullHooks& hooks, const RetryPolicy& retries = {});

}  // namespace autoglm::engine
