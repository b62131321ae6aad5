#include "app/load_config.h"

#include "config/load.h"
#include "engine/models/catalogue.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace autoglm::app {

namespace {

constexpr std::string_view kNoModel = "none";

/// The variables of quick starts, and the keys that they are short for.
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
  return std::string(std::istreambuf_iterator<char>(file), {});
}

/// Which model a name in a flag or the environment means: one of the file's, or a further one.
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

std::expected<LoadedConfig, std::string> load_config(const ServeOptions& options,
                                                     const Environment& environment) {
  config::Sources sources{.environment = environment};
  if (!options.config_file.empty()) {
    auto text = read_file(options.config_file);
    if (!text) return std::unexpected(std::move(text.error()));
    sources.file_name = options.config_file;
    sources.file_text = std::move(*text);
  }
  for (const auto& [variable, path] : kAliases) {
    const std::string value = lookup(environment, variable);
    if (value.empty()) continue;
    sources.overrides.push_back(
        {path, value, std::string("environment variable ") + variable, config::ValueOrigin::kEnvironment});
  }
  LoadedConfig loaded;
  config::Diagnostics problems;
  auto config = config::load(describe_app(), sources);
  if (!config) return std::unexpected(config::to_string(config.error()));
  loaded.config = std::move(*config);
  config::merge(*describe_app().description(), sources, loaded.tree, problems);

  const std::string named = lookup(environment, "MODEL_NAME");
  const std::string& model = options.model.empty() ? named : options.model;
  std::vector<ModelConfig>& models = loaded.config.models;
  if (!model.empty() && model != kNoModel) {
    put_first(models, model);
  } else if (models.empty() && model != kNoModel) {
    put_first(models, std::string(engine::kDefaultModel));
  }
  ServerConfig& server = loaded.config.server;
  if (options.host) server.listen.host = *options.host;
  if (options.port) server.listen.port = static_cast<std::uint16_t>(*options.port);
  if (options.admin_port) server.admin_listen.port = static_cast<std::uint16_t>(*options.admin_port);
  return loaded;
}

}  // namespace autoglm::app
