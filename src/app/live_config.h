#pragma once

#include "app/file_stamp.h"
#include "app/load_config.h"
#include "app/model_loader.h"
#include "base/result.h"

#include <filesystem>
#include <string>
#include <vector>

namespace autoglm::app {

/// The configuration of a running process and where it came from, so that it can be read again. Main thread.
class LiveConfig {
 public:
  /// `loaded` is what `load_config` made of `options` and `environment`, its models resolved.
  LiveConfig(ServeOptions options, Environment environment, std::filesystem::path cache, AppConfig loaded)
      : options_(std::move(options)),
        environment_(std::move(environment)),
        cache_(std::move(cache)),
        current_(std::move(loaded)) {
    changed_on_disk();
  }

  const AppConfig& current() const { return current_; }
  void set(AppConfig config) { current_ = std::move(config); }
  bool has_file() const { return !options_.config_file.empty(); }
  /// For models that have to be fetched.
  ModelSources sources() const { return {cache_, environment_}; }
  const std::string& file() const { return options_.config_file; }

  /// Reads it again, whole; changes nothing here. Errors: every mistake, with its place.
  Result<AppConfig> read() const;
  /// Whether the file is another one than when this was asked last.
  bool changed_on_disk();

 private:
  ServeOptions options_;
  Environment environment_;
  std::filesystem::path cache_;
  AppConfig current_;
  FileStamp stamp_;
};

/// The keys in which `after` differs that only a restart can change.
std::vector<std::string> keys_for_restart(const AppConfig& before, const AppConfig& after);

}  // namespace autoglm::app
