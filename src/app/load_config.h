#pragma once

#include "app/app_config.h"
#include "config/diagnostic.h"
#include "config/node.h"

#include <expected>
#include <map>
#include <optional>
#include <string>

namespace autoglm::app {

/// The options of `serve` on the command line.
struct ServeOptions {
  std::string config_file;
  std::string model;  ///< --model; wins over MODEL_NAME
  std::optional<std::string> host;
  std::optional<int> port;  ///< 0 to 65535
  std::optional<int> admin_port;
  std::string generation_defaults;  ///< "model" or "none"; empty: not given
};

struct LoadedConfig {
  AppConfig config;
  config::Node tree;             ///< says where each value comes from
  config::Diagnostics warnings;  ///< of settings that are valid but will surprise
  bool default_model = false;    ///< no model is named, so the default one is served
};

using Environment = std::map<std::string, std::string>;
Environment process_environment();

/// The configuration from flags, environment, file and defaults, in this order. Errors: every mistake, one a
/// line, with its place. A model named by flag or environment becomes the first of `models`; when there is no
/// model at all, the default one is served, unless MODEL_NAME is `none`.
std::expected<LoadedConfig, std::string> load_config(const ServeOptions& options,
                                                     const Environment& environment);

/// The text of the file that `options` name; empty when they name none.
std::expected<std::string, std::string> read_config_file(const ServeOptions& options);

/// The same for a running process that reads its file again; `file_text` is the file's text. Also refuses a
/// text that looks like a part of a file. The default model is used only if it is served already: losing the
/// file's models must not fetch one. `models: []` serves none.
std::expected<LoadedConfig, std::string> reload_config(const ServeOptions& options,
                                                       const Environment& environment, std::string file_text,
                                                       bool serves_default_model);

}  // namespace autoglm::app
