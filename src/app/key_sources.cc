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

/// What of `key` the configuration's own check would refuse.
std::optional<Error> find_wrong(const AdmissionConfig& config, const gateway::KeyConfig& key) {
  const auto wrong = check_rights(config, key.group, key.limits);
  if (wrong.empty()) return std::nullopt;
  const config::Violation& first = wrong.front();
  return invalid_field(first.path.substr(0, first.path.find('[')), first.path + " " + first.message);
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
  auto tokens = made->prepare(config);
  if (!tokens) return fail(std::move(tokens).error());
  made->apply(config, std::move(*tokens));
  return made;
}

void KeySources::apply(const AdmissionConfig& config, JwksSource::Prepared tokens) {
  tokens_.adopt(std::move(tokens));
  const bool asked = layer_ && asks();
  config_ = config;
  layer_ = *gateway::KeyLayer::make(config.keys);
  warned_.clear();
  publish();
  if (asked && !asks())
    log_.warning(
        "the server is open now: the configuration has no keys any more, and every client may use it");
}

/// The file looks for changes itself: an editor may still be writing.
Task<void> KeySources::watch_file() {
  while (file_) {
    co_await sleep_for(kLook);
    if (file_->refresh(std::chrono::steady_clock::now())) publish();
  }
}

Task<void> KeySources::watch_store() {
  while (store_) {
    co_await sleep_for(kLook);
    co_await store_->look();
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
  const bool is_taken = layer_->has_name(key.name) || (of_store && file_has(key.name));
  const auto wrong = find_wrong(config_, key);
  if ((!is_taken && !wrong) || !warned_.insert(fmt::format("{} {}", source, key.name)).second) return;
  if (is_taken) {
    log_.warning("a key is not accepted: an entry of the configuration has its name",
                 {{"key", key.name}, {"source", source}});
  } else {
    log_.warning("a key names what the configuration has not, or what is not for keys",
                 {{"key", key.name}, {"source", source}, {"error", wrong->message}});
  }
}

void KeySources::for_each_in_force(FunctionRef<void(const gateway::KeyConfig&)> see) const {
  for (const gateway::KeyConfig& key : config_.keys) see(key);
  for (const gateway::KeyConfig& key : of_file())
    if (!layer_->has_name(key.name)) see(key);
  if (!store_) return;
  for (const gateway::StoredKey& key : store_->contents()->keys) {
    if (!key.revoked && !layer_->has_name(key.rights.name) && !file_has(key.rights.name)) see(key.rights);
  }
}

void KeySources::add_budgets(gateway::Budgets& budgets) const {
  for_each_in_force([&budgets](const gateway::KeyConfig& key) {
    if (key.budget) budgets.keys.try_emplace(key.name, *key.budget);
  });
}

bool KeySources::file_has(std::string_view name) const { return file_ && file_->layer()->has_name(name); }

const std::vector<gateway::KeyConfig>& KeySources::of_file() const {
  static const std::vector<gateway::KeyConfig> kNone;
  return file_ ? file_->keys() : kNone;
}

Result<void> KeySources::check(const gateway::KeyConfig& wanted) const {
  if (layer_->has_name(wanted.name)) return fail(gateway::key_exists(wanted.name, "the configuration"));
  if (file_has(wanted.name)) return fail(gateway::key_exists(wanted.name, "keys_file"));
  if (auto wrong = find_wrong(config_, wanted)) return fail(std::move(*wrong));
  return {};
}

}  // namespace autoglm::app
