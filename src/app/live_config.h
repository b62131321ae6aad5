#pragma once

#include "app/load_config.h"
#include "app/model_loader.h"
#include "app/watched_file.h"
#include "base/result.h"

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace autoglm::app {

/// The configuration of a running process and where it came from, so that it can be read again. Main thread.
class LiveConfig {
 public:
  /// `loaded` is what `load_config` made of `options` and `environment`, its models resolved.
  LiveConfig(ServeOptions options, Environment environment, std::filesystem::path cache, LoadedConfig loaded)
      : options_(std::move(options)),
        environment_(std::move(environment)),
        cache_(std::move(cache)),
        current_(std::move(loaded)),
        file_(options_.config_file) {}

  const AppConfig& current() const { return current_.config; }
  /// Warnings of the current configuration.
  const config::Diagnostics& warnings() const { return current_.warnings; }
  void set(LoadedConfig loaded) { current_ = std::move(loaded); }
  bool has_file() const { return !options_.config_file.empty(); }
  WatchedFile& file() { return file_; }
  /// Sources of models that have to be fetched.
  ModelSources sources() const { return {cache_, environment_}; }

  /// Reads a whole configuration from this text of its file; changes nothing here. Errors: every mistake,
  /// with its place.
  Result<LoadedConfig> read(std::string file_text) const;

 private:
  ServeOptions options_;
  Environment environment_;
  std::filesystem::path cache_;
  LoadedConfig current_;
  WatchedFile file_;
};

}  // namespace autoglm::app
