#pragma once

#include "app/app_config.h"
#include "config/node.h"

#include <expected>
#include <map>
#include <optional>
#include <string>

namespace autoglm::app {

/// What the command line of `serve` says.
struct ServeOptions {
  std::string config_file;
  std::string model;  ///< --model; wins over MODEL_NAME
  std::optional<std::string> host;
  std::optional<int> port;  ///< 0 to 65535
  std::optional<int> admin_port;
};

struct LoadedConfig {
  AppConfig config;
  config::Node tree;  ///< says where each value comes from
};

using Environment = std::map<std::string, std::string>;
Environment process_environment();

/// The configuration from flags, environment, file and defaults, in this order. Errors: every mistake, one a
/// line, with its place. A model named by flag or environment becomes the first of `models`; without any
/// model the default one does, unless MODEL_NAME is `none`.
std::expected<LoadedConfig, std::string> load_config(const ServeOptions& options,
                                                     const Environment& environment);

}  // namespace autoglm::app
