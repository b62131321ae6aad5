#include "app/load_config.h"

#include "app/builtins.h"
#include "config/load.h"
#include "engine/models/catalogue.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace autoglm::app {

namespace {

constexpr std::string_view kNoModel = "none";

using Nodes = std::vector<config::Node>;

/// The items of `models` as they were written; made if nobody wrote them.
Nodes& written_models(config::Node& tree) {
  auto found = std::ranges::find(tree.members, "models", &config::Node::Member::key);
  if (found == tree.members.end()) {
    tree.members.push_back({.key = "models", .location = {}, .value = {}});
    found = std::prev(tree.members.end());
  }
  found->value.kind = config::Node::Kind::kSequence;
  return found->value.items;
}

/// Puts the named model first: one of the configured ones, or an additional one. The tree follows, so that it
/// still says where each model comes from.
void put_first(LoadedConfig& loaded, const NamedModel& named) {
  std::vector<ModelConfig>& models = loaded.config.models;
  Nodes& written = written_models(loaded.tree);
  const auto known = std::ranges::find(models, named.name, &ModelConfig::name);
  if (known != models.end()) {
    const auto at = written.begin() + (known - models.begin());
    std::rotate(written.begin(), at, at + 1);
    std::rotate(models.begin(), known, known + 1);
    return;
  }
  ModelConfig model;
  model.engine.emplace().path = named.name;
  models.insert(models.begin(), std::move(model));
  config::Node path{.kind = config::Node::Kind::kScalar, .text = named.name, .location = named.location};
  config::Node item{.location = named.location};
  config::set(item, "engine.path", std::move(path));
  written.insert(written.begin(), std::move(item));
}

/// `with_default`: the default model is served when none is named.
std::expected<LoadedConfig, std::string> load(const ConfigInputs& inputs, bool with_default) {
  LoadedConfig loaded;
  config::Diagnostics problems;
  auto config = config::load(describe_app(), inputs.sources, &loaded.warnings);
  if (!config) return std::unexpected(config::to_string(config.error()));
  loaded.config = std::move(*config);
  config::merge(*describe_app().description(), inputs.sources, loaded.tree, problems);

  std::vector<ModelConfig>& models = loaded.config.models;
  if (!inputs.model.name.empty() && inputs.model.name != kNoModel) {
    put_first(loaded, inputs.model);
  } else if (with_default && models.empty() && inputs.model.name != kNoModel) {
    put_first(loaded, {.name = std::string(engine::kDefaultModel), .location = {}});
    loaded.default_model = true;
  }
  for (ModelConfig& each : models) {
    if (each.engine && !each.engine->generation_defaults)
      each.engine->generation_defaults = loaded.config.server.generation_defaults;
  }
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

std::expected<LoadedConfig, std::string> load_config(const ConfigInputs& inputs) {
  return load(inputs, true);
}

std::expected<LoadedConfig, std::string> load_config(const ServeOptions& options,
                                                     const Environment& environment) {
  const auto inputs = config_inputs(options, environment);
  if (!inputs) return std::unexpected(inputs.error());
  return load_config(*inputs);
}

std::expected<LoadedConfig, std::string> reload_config(const ConfigInputs& inputs,
                                                       bool serves_default_model) {
  auto loaded = load(inputs, serves_default_model);
  if (!loaded || !loaded->config.models.empty() || inputs.model.name == kNoModel) return loaded;
  const config::Node::Member* models = loaded->tree.member("models");
  const bool said = models != nullptr && models->value.kind == config::Node::Kind::kSequence;
  if (!said) {
    return std::unexpected((inputs.file ? inputs.file->name() : std::string()) +
                           ": models: names none, and the default one is not fetched for that while a server "
                           "runs; write `models: []` to serve none\n");
  }
  return loaded;
}

}  // namespace autoglm::app
