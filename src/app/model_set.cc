#include "app/model_set.h"

#include "app/builtins.h"
#include "base/redact.h"
#include "engine/engine.h"
#include "engine/models/model_store.h"
#include "gateway/endpoint/process/engine_child_config.h"
#include "gateway/endpoint/process/engine_process.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::app {

namespace {

// Per server and loop: streams come in bursts, and a kept connection saves two round trips.
constexpr std::size_t kIdlePerOrigin = 256;

gateway::CallTimeouts timeouts_of(const ModelConfig& model, Duration request_timeout) {
  if (!model.is_pool()) {
    return {.request = request_timeout, .first_token = request_timeout, .idle = request_timeout};
  }
  // A pool times its servers' tokens itself, since it has to ask another server when none come.
  return {.request = model.pool.timeouts.total.value_or(request_timeout),
          .first_token = Duration::max(),
          .idle = Duration::max(),
          .total = model.pool.timeouts.total.value_or(Duration::max())};
}

/// Whether one pool can serve both: its settings are the same, and its endpoints may differ.
bool is_same_pool(const ModelConfig& before, ModelConfig after) {
  if (!before.is_pool() || !after.is_pool()) return false;
  after.pool.endpoints = before.pool.endpoints;
  after.aliases = before.aliases;        // the directory's
  after.concurrent = before.concurrent;  // the admission's, as is this
  after.concurrency = before.concurrency;
  return before == after;
}

}  // namespace

Result<void> resolve(std::vector<ModelConfig>& models, const std::filesystem::path& cache) {
  for (ModelConfig& model : models) {
    if (model.engine) {
      const auto name = engine::ModelStore::name(model.engine->path);
      if (!name) return fail(name.error());
      if (model.name.empty()) model.name = name->called;
      // A model that can be fetched keeps its name: its file is known when it is loaded.
      const auto file = engine::ModelStore(cache).find(*name);
      if (!file) return fail(file.error());
      if (!name->is_fetched()) model.engine->path = (*file)->string();
    }
    const auto same = [&](const ModelConfig& other) {
      return (&other < &model && other.name == model.name) ||
             std::ranges::find(other.aliases, model.name) != other.aliases.end();
    };
    if (std::ranges::any_of(models, same)) {
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("two models are called \"{}\": give one of them a name of its own", model.name));
    }
  }
  return {};
}

Result<void> ModelSet::apply(const std::vector<ModelConfig>& models, Duration request_timeout) {
  Slots slots;
  Changes changes;
  for (const ModelConfig& model : models) {
    const auto before = slots_.find(model.name);
    if (before != slots_.end()) {
      const auto kept = keep(before->second, model, request_timeout, slots, changes);
      if (!kept) return fail(kept.error());
      if (*kept) continue;
    }
    auto slot = make(model, request_timeout, before == slots_.end() ? nullptr : &before->second);
    if (!slot) return fail(slot.error());
    slots.emplace(model.name, std::move(*slot));
  }
  adopt(std::move(slots), models, std::move(changes));
  return {};
}

/// Whether what stands in the slot stays, perhaps with another membership.
Result<bool> ModelSet::keep(const Slot& before, const ModelConfig& model, Duration request_timeout,
                            Slots& slots, Changes& changes) {
  const bool same_time = before.request_timeout == request_timeout;
  const bool same =
      before.engine ? before.config.engine == model.engine : same_time && before.config == model;
  if (same) {
    slots.emplace(model.name, before).first->second.request_timeout = request_timeout;
    return true;
  }
  if (!same_time || !is_same_pool(before.config, model)) return false;
  auto change =
      before.pool->prepare(before.discovery ? before.discovery->membership_with(model.pool.endpoints)
                                            : cluster::membership_of(model.pool.endpoints));
  if (!change) return fail(change.error());
  changes.push_back({before.pool, std::move(*change)});
  slots.emplace(model.name, before).first->second.config = model;
  return true;
}

Result<ModelSet::Slot> ModelSet::make(const ModelConfig& model, Duration request_timeout,
                                      const Slot* before) {
  Slot slot{.config = model, .request_timeout = request_timeout, .engine = nullptr, .pool = nullptr};
  if (model.is_pool()) {
    auto pool = make_pool(model, request_timeout);
    if (!pool) return fail(pool.error());
    slot.pool = std::move(*pool);
    if (auto discovers = discover(slot, before); !discovers) return fail(discovers.error());
  } else {
    auto engine = make_engine(model);
    if (!engine) return fail(engine.error());
    slot.engine = std::move(*engine);
  }
  return slot;
}

Result<void> ModelSet::discover(Slot& slot, const Slot* before) {
  if (slot.config.pool.discover.empty()) return {};
  std::vector<cluster::Discovery::Source> sources;
  for (const cluster::DiscoverConfig& each : slot.config.pool.discover) {
    auto registry = registry_of(each, {.client = clients_.of(dependencies_.control),
                                       .files = dependencies_.pool,
                                       .names = dependencies_.names});
    if (!registry) return fail(registry.error());
    sources.push_back({.config = each, .registry = std::move(*registry)});
  }
  gateway::ModelPool* const pool = slot.pool.get();
  const std::weak_ptr<gateway::ModelPool> weak = slot.pool;
  pool->await_members(true);
  slot.discovery = std::make_shared<cluster::Discovery>(
      cluster::Discovery::Options{.model = slot.config.name,
                                  .fixed = slot.config.pool.endpoints,
                                  .well = [pool] { return pool->well(); },
                                  .changed = [this, weak] { refresh_on_loops(weak); },
                                  .answered = [pool] { pool->await_members(false); }},
      std::move(sources), *slot.pool, dependencies_.metrics, dependencies_.log);
  if (before == nullptr || !before->discovery) return {};
  // A pool that is made anew has its servers from the first moment.
  slot.discovery->inherit(*before->discovery);
  return slot.pool->apply(slot.discovery->membership());
}

/// Nobody waits for the loops: one of them may be busy for long.
void ModelSet::refresh_on_loops(const std::weak_ptr<gateway::ModelPool>& pool) {
  for (std::size_t i = 0; i < dependencies_.workers.size(); ++i) {
    dependencies_.workers.loop(i).post([pool] {
      if (const auto there = pool.lock()) there->refresh();
    });
  }
}

/// The swap: from here on requests see the new models.
void ModelSet::adopt(Slots slots, const std::vector<ModelConfig>& order, Changes changes) {
  for (Change& each : changes) {
    each.pool->adopt(std::move(each.change));
    for (auto& [name, slot] : slots)
      if (slot.pool == each.pool && slot.discovery) slot.discovery->set_fixed(slot.config.pool.endpoints);
  }
  std::vector<gateway::ModelDirectory::Entry> entries;
  for (const ModelConfig& model : order) {
    const Slot& slot = slots.at(model.name);
    std::shared_ptr<Endpoint> endpoint = slot.engine;
    if (slot.pool) {
      slot.pool->take_effect();
      endpoint = slot.pool;
    }
    // A request's timeouts change at once, even where the engine stays.
    entries.push_back({.name = model.name,
                       .endpoint = std::move(endpoint),
                       .timeouts = timeouts_of(slot.config, slot.request_timeout),
                       .aliases = model.aliases});
  }
  for (auto& [name, slot] : std::exchange(slots_, std::move(slots))) {
    const auto after = slots_.find(name);
    if (after != slots_.end() && after->second.engine == slot.engine && after->second.pool == slot.pool)
      continue;
    slot.watch.reset();
    slot.discovery.reset();  // it hands over to the pool
    if (slot.engine) retired_engines_.add(std::move(slot.engine));
    if (slot.pool) retired_pools_.push_back(std::move(slot.pool));
  }
  directory_.set(std::make_shared<const gateway::ModelDirectory>(std::move(entries)));
  dependencies_.workers.on_each([&](EventLoop& loop) {
    directory_.refresh(loop.index());
    for (const Change& each : changes) each.pool->refresh();
  });
  watch_pools();
}

Result<void> ModelSet::make_clients() {
  if (std::exchange(has_clients_, true)) return {};
  auto tls = TlsClientContext::create();
  if (!tls) return fail(tls.error());
  const auto make = [this, context = *tls] {
    return std::make_unique<http::Client>(dependencies_.names, context,
                                          http::Client::Limits{.idle_per_origin = kIdlePerOrigin});
  };
  clients_.share(dependencies_.answer_memory, &dependencies_.pool);
  clients_.reserve(dependencies_.control);
  for (std::size_t i = 0; i < dependencies_.workers.size(); ++i)
    clients_.reserve(dependencies_.workers.loop(i));
  clients_.attach(dependencies_.control, make());
  dependencies_.workers.on_each([&](EventLoop& loop) { clients_.attach(loop, make()); });
  return {};
}

Result<std::shared_ptr<Endpoint>> ModelSet::make_engine(const ModelConfig& model) {
  if (model.engine->isolation == engine::Isolation::kProcess) return make_engine_process(model);
  return std::make_shared<engine::Engine>(
      model.name, *model.engine,
      engine::Engine::Dependencies{.pool = dependencies_.pool,
                                   .metrics = dependencies_.metrics,
                                   .log = dependencies_.log,
                                   .load = model_loader(*model.engine, dependencies_.compute_threads,
                                                        dependencies_.sources, dependencies_.log),
                                   .samplers = sampler_factory(),
                                   .shares = dependencies_.shares});
}

Result<std::shared_ptr<Endpoint>> ModelSet::make_engine_process(const ModelConfig& model) {
  if (auto made = make_clients(); !made) return fail(made.error());
  gateway::EngineChildConfig child{.name = model.name,
                                   .engine = *model.engine,
                                   .compute_threads = dependencies_.compute_threads,
                                   .cache = dependencies_.sources.cache.string(),
                                   .log = dependencies_.log_config,
                                   .trace_id = dependencies_.trace_id};
  // Its log lines go through the parent's log.
  child.log.file.clear();
  child.log.format = dependencies_.log.format();
  return std::make_shared<gateway::EngineProcess>(
      gateway::EngineProcess::Options{
          .process = {.model = model.name,
                      .arguments = {"open-autoglm", std::string(gateway::kEngineCommand), model.name},
                      .input = gateway::write_engine_child_config(child),
                      .shares = dependencies_.shares},
          .source = without_secrets(model.engine->path),
          .max_waiting = model.engine->max_sequences + model.engine->max_waiting},
      clients_, dependencies_.metrics, dependencies_.log);
}

Result<std::shared_ptr<gateway::ModelPool>> ModelSet::make_pool(const ModelConfig& model,
                                                                Duration request_timeout) {
  if (auto made = make_clients(); !made) return fail(made.error());
  const auto records = records_.try_emplace(model.name, dependencies_.metrics, model.name).first;
  return gateway::ModelPool::create(
      model.name, model.pool,
      {.factory =
           std::make_unique<gateway::HttpEndpointFactory>(gateway::endpoint_settings(model.pool), clients_),
       .answer_memory = clients_.answer_memory(),
       .metrics = dependencies_.metrics,
       .log = dependencies_.log,
       .balancer = balancer_factory(model.pool.balance, dependencies_.prefix_key),
       .records = records->second,
       .loops = dependencies_.workers.size(),
       .request_timeout = request_timeout,
       .find_model = [this](const std::string& name) -> std::shared_ptr<Endpoint> {
         const auto& models = directory_.of_loop(EventLoop::current().index());
         const auto found = models->find(name);
         return found ? (*found)->endpoint : nullptr;
       }});
}

ModelSet::~ModelSet() = default;

std::vector<std::shared_ptr<gateway::ModelPool>> ModelSet::pools() const {
  std::vector<std::shared_ptr<gateway::ModelPool>> pools;
  for (const auto& [name, slot] : slots_) {
    if (slot.pool) pools.push_back(slot.pool);
  }
  return pools;
}

std::shared_ptr<const cluster::Discovery> ModelSet::discovery(const std::string& model) const {
  const auto slot = slots_.find(model);
  return slot == slots_.end() ? nullptr : slot->second.discovery;
}

bool ModelSet::in_own_process(const std::string& name) const {
  const auto slot = slots_.find(name);
  return slot != slots_.end() && slot->second.config.engine &&
         slot->second.config.engine->isolation == engine::Isolation::kProcess;
}

void ModelSet::watch_pools() {
  if (!watching_) return;
  for (auto& [name, slot] : slots_) {
    if (!slot.pool || slot.watch) continue;
    slot.watch = std::make_shared<Scope>();
    slot.watch->spawn(slot.pool->watch());
    if (slot.discovery) slot.watch->spawn(slot.discovery->run());
  }
}

void ModelSet::bury() {
  retired_engines_.sweep();
  std::erase_if(retired_pools_, [](const auto& pool) { return pool.use_count() == 1; });
  for (auto& [name, slot] : slots_)
    if (slot.pool) slot.pool->sweep();
  for (auto& [name, records] : records_) records.sweep(std::chrono::steady_clock::now());
}

Task<void> ModelSet::watch() {
  struct StopWatching {
    ModelSet& set;
    ~StopWatching() {
      set.watching_ = false;
      for (auto& [name, slot] : set.slots_) slot.watch.reset();
    }
  };
  const StopWatching on_exit{*this};
  watching_ = true;
  watch_pools();
  while (true) {
    co_await sleep_for(std::chrono::milliseconds(200));
    bury();
  }
}

void ModelSet::stop() {
  if (has_clients_) {
    dependencies_.workers.on_each([&](EventLoop& loop) { clients_.detach(loop); });
    clients_.detach(dependencies_.control);
  }
  directory_.set(
      std::make_shared<const gateway::ModelDirectory>(std::vector<gateway::ModelDirectory::Entry>()));
  dependencies_.workers.on_each([this](EventLoop& loop) { directory_.refresh(loop.index()); });
  retired_engines_.finish();
  retired_pools_.clear();
  slots_.clear();
}

}  // namespace autoglm::app
