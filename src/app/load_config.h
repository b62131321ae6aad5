#pragma once

#include "app/app_config.h"
#include "app/file_source.h"
#include "app/flag_source.h"
#include "config/diagnostic.h"
#include "config/node.h"

#include <expected>
#include <memory>
#include <string>

namespace autoglm::app {

using config::Environment;
Environment process_environment();

/// The model that a flag or the environment names; empty: none is named; `none`: no model is wanted. It names
/// one of the configured models, or is one more, so it is no key of the configuration.
struct NamedModel {
  std::string name;
  config::Location location;
};

/// All that the configuration of a process is made of.
struct ConfigInputs {
  config::Sources sources;           ///< the weakest first
  std::shared_ptr<FileSource> file;  ///< the one of `sources` that is a file; null: there is none
  NamedModel model;

  /// A configuration center: it wins over the file, and nothing else.
  void add(std::shared_ptr<config::Source> center) {
    sources.insert(sources.begin() + (file ? 1 : 0), std::move(center));
  }
};

struct LoadedConfig {
  AppConfig config;
  config::Node tree;             ///< says where each value comes from
  config::Diagnostics warnings;  ///< of settings that are valid but will surprise
  bool default_model = false;    ///< no model is named, so the default one is served
};

/// The configuration of these inputs. Errors: every mistake, one a line, with its place. A model that is
/// named becomes the first of `models`; when there is no model at all, the default one is served.
std::expected<LoadedConfig, std::string> load_config(const ConfigInputs& inputs);

/// The same by `config_inputs` of app/builtins.h, for what is read once. Errors: also that the file cannot be
/// read.
std::expected<LoadedConfig, std::string> load_config(const ServeOptions& options,
                                                     const Environment& environment);

/// The same for a running process whose sources have changed. The default model is used only if it is served
/// already: losing the file's models must not fetch one. `models: []` serves none.
std::expected<LoadedConfig, std::string> reload_config(const ConfigInputs& inputs, bool serves_default_model);

}  // namespace autoglm::app
