#include "app/load_config.h"

#include "app/watched_file.h"
#include "config/load.h"
#include "config/yaml.h"
#include "engine/models/catalogue.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace autoglm::app {

namespace {

constexpr std::string_view kNoModel = "none";

/// The short variables of the quick start, and the keys that they stand for.
constexpr std::pair<const char*, const char*> kAliases[] = {
    {"MAX_WORKERS", "server.workers"},
    {"API_TIMEOUT", "server.request_timeout"},
    {"ENABLE_METRICS", "telemetry.metrics"},
};

std::string lookup(const Environment& environment, const std::string& name) {
  const auto it = environment.find(name);
  return it == environment.end() ? std::string() : it->second;
}

std::expected<std::string, std::string> read_file(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return std::unexpected(path + ": is a folder; name the file\n");
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::unexpected(path + ": cannot be read: " + std::strerror(errno) + "\n");
  return read_config_text(file);
}

/// The model that a flag or the environment names; empty: none is named; `none`: no model is wanted.
std::string named_model(const ServeOptions& options, const Environment& environment) {
  return options.model.empty() ? lookup(environment, "MODEL_NAME") : options.model;
}

/// Puts the model that a flag or the environment names first: one of the file's, or an additional one.
void put_first(std::vector<ModelConfig>& models, const std::string& name) {
  const auto known = std::ranges::find(models, name, &ModelConfig::name);
  if (known != models.end()) {
    std::rotate(models.begin(), known, known + 1);
    return;
  }
  ModelConfig model;
  model.engine.emplace().path = name;
  models.insert(models.begin(), std::move(model));
}

/// `with_default`: the default model is served when none is named.
std::expected<LoadedConfig, std::string> load_text(const ServeOptions& options,
                                                   const Environment& environment, std::string file_text,
                                                   bool with_default) {
  config::Sources sources{
      .file_name = options.config_file, .file_text = std::move(file_text), .environment = environment};
  for (const auto& [variable, path] : kAliases) {
    const std::string value = lookup(environment, variable);
    if (value.empty()) continue;
    sources.overrides.push_back(
        {path, value, std::string("environment variable ") + variable, config::ValueOrigin::kEnvironment});
  }
  if (!options.generation_defaults.empty()) {
    sources.overrides.push_back({"server.generation_defaults", options.generation_defaults,
                                 "--generation-defaults", config::ValueOrigin::kFlag});
  }
  LoadedConfig loaded;
  config::Diagnostics problems;
  auto config = config::load(describe_app(), sources, &loaded.warnings);
  if (!config) return std::unexpected(config::to_string(config.error()));
  loaded.config = std::move(*config);
  config::merge(*describe_app().description(), sources, loaded.tree, problems);

  const std::string model = named_model(options, environment);
  std::vector<ModelConfig>& models = loaded.config.models;
  if (!model.empty() && model != kNoModel) {
    put_first(models, model);
  } else if (with_default && models.empty() && model != kNoModel) {
    put_first(models, std::string(engine::kDefaultModel));
    loaded.default_model = true;
  }
  ServerConfig& server = loaded.config.server;
  for (ModelConfig& each : models) {
    if (each.engine && !each.engine->generation_defaults)
      each.engine->generation_defaults = server.generation_defaults;
  }
  if (options.host) server.listen.host = *options.host;
  if (options.port) server.listen.port = static_cast<std::uint16_t>(*options.port);
  if (options.admin_port) server.admin_listen.port = static_cast<std::uint16_t>(*options.admin_port);
  return loaded;
}

}  // namespace

Environment process_environment() {
  Environment environment;
  for (char** entry = ::environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

std::expected<std::string, std::string> read_config_file(const ServeOptions& options) {
  return options.config_file.empty() ? std::string() : read_file(options.config_file);
}

std::expected<LoadedConfig, std::string> load_config(const ServeOptions& options,
                                                     const Environment& environment) {
  auto text = read_config_file(options);
  if (!text) return std::unexpected(std::move(text.error()));
  return load_text(options, environment, std::move(*text), true);
}

std::expected<LoadedConfig, std::string> reload_config(const ServeOptions& options,
                                                       const Environment& environment, std::string file_text,
                                                       bool serves_default_model) {
  if (!options.config_file.empty()) {
    config::Diagnostics mistakes;  // load_text finds them, too
    const auto tree = config::parse_yaml(options.config_file, file_text, mistakes);
    if (const auto cut = tree ? config::find_cut(options.config_file, file_text, *tree) : std::nullopt)
      return std::unexpected(cut->to_string() + "\n");
  }
  auto loaded = load_text(options, environment, std::move(file_text), serves_default_model);
  if (!loaded || !loaded->config.models.empty() || named_model(options, environment) == kNoModel)
    return loaded;
  const config::Node::Member* models = loaded->tree.member("models");
  const bool said = models != nullptr && models->value.kind == config::Node::Kind::kSequence;
  if (!said) {
    return std::unexpected(options.config_file +
                           ": models: names none, and the default one is not fetched for that while a server "
                           "runs; write `models: []` to serve none\n");
  }
  return loaded;
}

}  // namespace autoglm::app
