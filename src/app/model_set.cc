#include "app/model_set.h"

#include "app/builtins.h"
#include "engine/models/catalogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::app {

namespace {

// Of each server and loop: streams come in crowds, and a kept connection saves two round trips.
constexpr std::size_t kIdlePerOrigin = 256;

gateway::CallTimeouts timeouts_of(const ModelConfig& model, Duration request_timeout) {
  if (!model.is_pool()) {
    return {.request = request_timeout, .first_token = request_timeout, .idle = request_timeout};
  }
  // A pool watches its servers' tokens by itself, since it has to ask others when they do not come.
  return {.request = model.pool.timeouts.total.value_or(request_timeout),
          .first_token = Duration::max(),
          .idle = Duration::max(),
          .total = model.pool.timeouts.total.value_or(Duration::max())};
}

}  // namespace

Result<void> resolve(std::vector<ModelConfig>& models, const std::filesystem::path& cache) {
  for (ModelConfig& model : models) {
    if (model.engine) {
      auto file = engine::find_model(model.engine->path, cache);
      if (!file) return fail(file.error());
      if (model.name.empty()) model.name = file->name;
      model.engine->path = file->path.string();
    }
    const auto same = [&](const ModelConfig& other) { return &other < &model && other.name == model.name; };
    if (std::ranges::any_of(models, same)) {
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("two models are called \"{}\": give one of them a name of its own", model.name));
    }
  }
  return {};
}

Result<std::unique_ptr<ModelSet>> ModelSet::create(std::vector<ModelConfig> models,
                                                   Dependencies dependencies) {
  auto set = std::unique_ptr<ModelSet>(new ModelSet(dependencies));
  if (std::ranges::any_of(models, &ModelConfig::is_pool)) {
    if (auto made = set->make_clients(); !made) return fail(made.error());
  }
  std::vector<gateway::ModelDirectory::Entry> entries;
  for (const ModelConfig& model : models) {
    entries.push_back({model.name, model.is_pool() ? set->add_pool(model) : set->add_engine(model),
                       timeouts_of(model, dependencies.request_timeout)});
  }
  set->directory_ = std::make_unique<gateway::ModelDirectory>(std::move(entries));
  return set;
}

Result<void> ModelSet::make_clients() {
  auto tls = TlsClientContext::create();
  if (!tls) return fail(tls.error());
  const auto make = [this, context = *tls] {
    return std::make_unique<http::Client>(dependencies_.pool, context,
                                          http::Client::Limits{.idle_per_origin = kIdlePerOrigin});
  };
  clients_.reserve(dependencies_.control);
  for (std::size_t i = 0; i < dependencies_.workers.size(); ++i)
    clients_.reserve(dependencies_.workers.loop(i));
  clients_.attach(dependencies_.control, make());
  dependencies_.workers.on_each([&](EventLoop& loop) { clients_.attach(loop, make()); });
  return {};
}

Endpoint* ModelSet::add_engine(const ModelConfig& model) {
  const unsigned threads = model.engine->threads != 0 ? model.engine->threads : dependencies_.compute_threads;
  engines_.push_back(std::make_unique<engine::Engine>(
      model.name, *model.engine,
      engine::Engine::Dependencies{.pool = dependencies_.pool,
                                   .metrics = dependencies_.metrics,
                                   .log = dependencies_.log,
                                   .load = backend_loader(*model.engine, model.engine->path, threads),
                                   .samplers = sampler_factory()}));
  return engines_.back().get();
}

Endpoint* ModelSet::add_pool(const ModelConfig& model) {
  pools_.push_back(std::make_unique<gateway::ModelPool>(
      model.name, model.pool,
      gateway::ModelPool::Dependencies{.clients = clients_,
                                       .metrics = dependencies_.metrics,
                                       .log = dependencies_.log,
                                       .balancer = balancer_factory(model.pool.balance),
                                       .loops = dependencies_.workers.size(),
                                       .request_timeout = dependencies_.request_timeout,
                                       .find_model = [this](const std::string& name) -> Endpoint* {
                                         const auto found = directory_->find(name);
                                         return found ? (*found)->endpoint : nullptr;
                                       }}));
  return pools_.back().get();
}

ModelSet::~ModelSet() = default;

std::vector<gateway::ModelPool*> ModelSet::pools() const {
  std::vector<gateway::ModelPool*> pools;
  for (const auto& pool : pools_) pools.push_back(pool.get());
  return pools;
}

Task<void> ModelSet::watch() {
  Scope scope;
  for (const auto& pool : pools_) scope.spawn(pool->watch());
  co_await scope.join();
}

void ModelSet::stop() {
  if (!pools_.empty()) {
    dependencies_.workers.on_each([&](EventLoop& loop) { clients_.detach(loop); });
    clients_.detach(dependencies_.control);
  }
  engines_.clear();
}

}  // namespace autoglm::app
