#pragma once

#include "app/load_config.h"
#include "app/model_loader.h"
#include "base/result.h"

#include <filesystem>
#include <utility>

namespace autoglm::app {

/// The configuration of a running process and its sources, so that it can be read again. Main thread.
class LiveConfig {
 public:
  /// `loaded` is what `load_config` made of `inputs`, its models resolved.
  LiveConfig(ConfigInputs inputs, Environment environment, std::filesystem::path cache, LoadedConfig loaded)
      : inputs_(std::move(inputs)),
        environment_(std::move(environment)),
        cache_(std::move(cache)),
        current_(std::move(loaded)) {}

  const AppConfig& current() const { return current_.config; }
  /// Warnings of the current configuration.
  const config::Diagnostics& warnings() const { return current_.warnings; }
  void set(LoadedConfig loaded) { current_ = std::move(loaded); }
  bool has_file() const { return inputs_.file != nullptr; }
  /// Sources of models that have to be fetched.
  ModelSources sources() const { return {cache_, environment_}; }

  /// Whether a source has something new since the last call.
  bool changed(MonotonicTime now);
  /// For an announced change: FileSource::look_again, if there is a file.
  Task<Result<void>> look_again(Duration between, Duration patience);
  /// The configuration that the sources say now; changes nothing here. Errors: every mistake, with its place.
  Result<LoadedConfig> read() const;

 private:
  ConfigInputs inputs_;
  Environment environment_;
  std::filesystem::path cache_;
  LoadedConfig current_;
};

}  // namespace autoglm::app
