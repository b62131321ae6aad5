#include "app/key_sources.h"

#include "app/load_config.h"
#include "runtime/event_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>

namespace autoglm::app {

namespace {

constexpr Duration kLook = std::chrono::milliseconds(500);

bool has_key(const std::vector<gateway::KeyConfig>& keys, std::string_view name) {
  return std::ranges::find(keys, name, &gateway::KeyConfig::name) != keys.end();
}

/// What `key` names that the configuration has not.
std::optional<Error> find_unknown(const AdmissionConfig& config, const gateway::KeyConfig& key) {
  const bool knows_group =
      key.group.empty() || config.groups.empty() ||
      std::ranges::find(config.groups, key.group, &gateway::GroupConfig::name) != config.groups.end();
  if (!knows_group) {
    return invalid_field(
        "group", fmt::format("group is \"{}\", which names no group of the configuration", key.group));
  }
  for (const std::string& limit : key.limits) {
    if (std::ranges::find(config.limits, limit, &gateway::LimitConfig::name) == config.limits.end()) {
      return invalid_field(
          "limits", fmt::format("limits has \"{}\", which names no limit of the configuration", limit));
    }
  }
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<KeySources>> KeySources::create(const AdmissionConfig& config,
                                                       observe::MetricRegistry& metrics,
                                                       observe::Logger& log) {
  std::unique_ptr<KeySources> made(new KeySources(metrics, log));
  if (!config.keys_file.empty()) {
    auto file = KeysFile::open(config.keys_file, process_environment(), metrics, log);
    if (!file) return fail(std::move(file).error());
    made->file_ = std::move(*file);
  }
  if (config.key_store) {
    auto store = gateway::LiveKeyStore::open({.path = config.key_store->path}, metrics, log);
    if (!store) {
      Error error = std::move(store).error();
      error.message = "key_store: " + error.message;
      return fail(std::move(error));
    }
    made->store_ = std::move(*store);
    made->store_->on_change([sources = made.get()] { sources->publish(); });
    log.info("key store opened",
             {{"path", config.key_store->path}, {"keys", made->store_->contents()->keys.size()}});
  }
  if (auto applied = made->tokens_.apply(config.jwt); !applied) return fail(std::move(applied).error());
  made->apply(config);
  return made;
}

void KeySources::apply(const AdmissionConfig& config) {
  if (const auto applied = tokens_.apply(config.jwt); !applied)
    log_.error("jwt was not changed; tokens are taken as before", {{"error", applied.error().message}});
  config_ = config;
  layer_ = *gateway::KeyLayer::make(config.keys);
  warned_.clear();
  publish();
}

/// The file looks for changes itself: an editor may still be writing.
Task<void> KeySources::watch() {
  while (true) {
    co_await sleep_for(kLook);
    if (file_ && file_->refresh(std::chrono::steady_clock::now())) publish();
    if (store_) co_await store_->look();
  }
}

void KeySources::publish() {
  std::vector<std::shared_ptr<const gateway::KeyLayer>> layers = {layer_};
  if (file_) {
    layers.push_back(file_->layer());
    for (const gateway::KeyConfig& key : file_->keys()) warn_of(key, "keys_file");
  }
  if (store_) {
    layers.push_back(store_->contents()->layer);
    for (const gateway::StoredKey& key : store_->contents()->keys)
      if (!key.revoked) warn_of(key.rights, "key_store");
  }
  live_.set(std::make_shared<const gateway::KeyRing>(std::move(layers), file_ || store_ || config_.jwt));
  if (told_) told_();
}

/// Once for each key: what the configuration's own check would have refused.
void KeySources::warn_of(const gateway::KeyConfig& key, const char* source) {
  const bool of_store = std::string_view(source) == "key_store";
  const bool is_taken = has_key(config_.keys, key.name) || (of_store && has_key(of_file(), key.name));
  const auto unknown = find_unknown(config_, key);
  if ((!is_taken && !unknown) || !warned_.insert(fmt::format("{} {}", source, key.name)).second) return;
  if (is_taken) {
    log_.warning("a key is not accepted: an entry of the configuration has its name",
                 {{"key", key.name}, {"source", source}});
  } else {
    log_.warning("a key names what the configuration has not",
                 {{"key", key.name}, {"source", source}, {"error", unknown->message}});
  }
}

void KeySources::add_budgets(gateway::Budgets& budgets) const {
  const auto add = [&budgets](const gateway::KeyConfig& key) {
    if (key.budget) budgets.keys.try_emplace(key.name, *key.budget);
  };
  for (const gateway::KeyConfig& key : config_.keys) add(key);
  for (const gateway::KeyConfig& key : of_file())
    if (!has_key(config_.keys, key.name)) add(key);
  if (!store_) return;
  for (const gateway::StoredKey& key : store_->contents()->keys) {
    if (!key.revoked && !has_key(config_.keys, key.rights.name) && !has_key(of_file(), key.rights.name))
      add(key.rights);
  }
}

const std::vector<gateway::KeyConfig>& KeySources::of_file() const {
  static const std::vector<gateway::KeyConfig> kNone;
  return file_ ? file_->keys() : kNone;
}

Result<void> KeySources::check(const gateway::KeyConfig& wanted) const {
  if (has_key(config_.keys, wanted.name)) return fail(gateway::key_exists(wanted.name, "the configuration"));
  if (has_key(of_file(), wanted.name)) return fail(gateway::key_exists(wanted.name, "keys_file"));
  if (auto unknown = find_unknown(config_, wanted)) return fail(std::move(*unknown));
  return {};
}

}  // namespace autoglm::app
