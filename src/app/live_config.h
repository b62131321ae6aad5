#pragma once

#include "app/config_center.h"
#include "app/load_config.h"
#include "app/model_loader.h"
#include "base/result.h"

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::app {

/// The configuration of a running process and its sources, so that it can be read again. Main thread.
class LiveConfig {
 public:
  /// `loaded` is what `load_config` made of `inputs`, its models resolved; `center` may be null.
  LiveConfig(ConfigInputs inputs, std::shared_ptr<ConfigCenter> center, Environment environment,
             std::filesystem::path cache, LoadedConfig loaded);

  const AppConfig& current() const { return current_.config; }
  /// Says where each value of the current configuration is from.
  const config::Node& tree() const { return current_.tree; }
  /// Warnings of the current configuration.
  const config::Diagnostics& warnings() const { return current_.warnings; }
  /// The configuration that was read last is the current one.
  void set(LoadedConfig loaded);
  /// The current one is in force: its sources may say so.
  void accept();
  bool has_file() const { return inputs_.file != nullptr; }
  const std::shared_ptr<FileSource>& file() const { return inputs_.file; }
  const std::shared_ptr<ConfigCenter>& center() const { return center_; }
  /// Sources of models that have to be fetched.
  ModelSources sources() const { return {cache_, environment_}; }

  /// The sources that have something new since the last call.
  std::vector<std::shared_ptr<config::Source>> changed(MonotonicTime now);
  /// For an announced change: FileSource::look_again, if there is a file.
  Task<Result<void>> look_again(Duration between, Duration patience);
  /// The configuration that the sources say now; changes nothing here. Errors: every mistake, with its place.
  Result<LoadedConfig> read() const;

 private:
  ConfigInputs inputs_;
  std::shared_ptr<ConfigCenter> center_;
  Environment environment_;
  std::filesystem::path cache_;
  LoadedConfig current_;
};

}  // namespace autoglm::app
