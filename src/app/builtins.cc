#include "app/builtins.h"

#include "admin/config_routes.h"
#include "admin/key_routes.h"
#include "admin/member_routes.h"
#include "admin/usage_routes.h"
#include "base/assert.h"
#include "center/consul/consul_document.h"
#include "center/etcd/etcd_document.h"
#include "center/file/file_document.h"
#include "center/kubernetes/config_map_document.h"
#include "center/nacos/nacos_document.h"
#include "cluster/registries/consul/consul_registrar.h"
#include "cluster/registries/consul/consul_registry.h"
#include "cluster/registries/dns/dns_registry.h"
#include "cluster/registries/etcd/etcd_registrar.h"
#include "cluster/registries/etcd/etcd_registry.h"
#include "cluster/registries/file/file_registry.h"
#include "cluster/registries/kubernetes/kubernetes_registry.h"
#include "cluster/registries/nacos/nacos_registrar.h"
#include "cluster/registries/nacos/nacos_registry.h"
#include "engine/backends/llama/llama_backend.h"
#include "engine/backends/llama/token_sampler.h"
#include "engine/sampling_defaults.h"
#include "gateway/front/grpc/services.h"
#include "gateway/front/http/generation_routes.h"
#include "gateway/front/http/health_routes.h"
#include "gateway/front/http/kserve_routes.h"
#include "gateway/front/http/llama_routes.h"
#include "gateway/front/http/load_routes.h"
#include "gateway/front/http/model_routes.h"
#include "gateway/front/http/ollama_routes.h"
#include "gateway/front/http/openapi.h"
#include "gateway/front/http/passing_routes.h"
#include "gateway/front/http/responses_routes.h"
#include "gateway/front/http/welcome_routes.h"
#include "gateway/routing/least_connections/least_connections_balancer.h"
#include "gateway/routing/least_load/least_load_balancer.h"
#include "gateway/routing/power_of_two/power_of_two_balancer.h"
#include "gateway/routing/prefix_affinity/prefix_affinity_balancer.h"
#include "gateway/routing/round_robin/round_robin_balancer.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

namespace autoglm::app {

namespace {

void append(std::vector<gateway::Route>& routes, std::vector<gateway::Route> more) {
  routes.insert(routes.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

admin::KeyDesk key_desk(const KeySources& keys) {
  return {.store = keys.store(),
          .others =
              [&keys] {
                return std::vector<admin::KeyDesk::Source>{{"config", &keys.of_config()},
                                                           {"file", &keys.of_file()}};
              },
          .check = [&keys](const gateway::KeyConfig& wanted) { return keys.check(wanted); }};
}

void append_health(std::vector<gateway::Route>& routes, const gateway::LiveDirectory& models,
                   const gateway::Readiness& readiness, observe::MetricRegistry& metrics,
                   const Shown& shown) {
  append(routes, gateway::load_routes(models, shown.prefix_key));
  append(routes, gateway::health_routes(models, readiness));
  if (shown.metrics) append(routes, gateway::metrics_routes(metrics, models));
}

}  // namespace

std::expected<ConfigInputs, std::string> config_inputs(const ServeOptions& options,
                                                       const Environment& environment) {
  ConfigInputs inputs;
  // The weakest first: of two that give a value the later one wins.
  if (!options.config_file.empty()) {
    auto file = FileSource::open(options.config_file, environment);
    if (!file) return std::unexpected(std::move(file.error()));
    inputs.file = std::move(*file);
    inputs.sources.push_back(inputs.file);
  }
  inputs.sources.push_back(std::make_shared<config::EnvironmentSource>(
      environment, std::vector<config::Alias>{{"MAX_WORKERS", "server.workers"},
                                              {"API_TIMEOUT", "server.request_timeout"},
                                              {"ENABLE_METRICS", "telemetry.metrics"}}));
  inputs.sources.push_back(std::make_shared<FlagSource>(options));
  if (!options.model.empty()) {
    inputs.model = {.name = options.model, .location = {config::ValueOrigin::kFlag, "--model", 0, 0}};
  } else if (const auto named = environment.find("MODEL_NAME"); named != environment.end()) {
    inputs.model = {.name = named->second,
                    .location = {config::ValueOrigin::kEnvironment, "environment variable MODEL_NAME", 0, 0}};
  }
  return inputs;
}

engine::BackendLoader backend_loader(const engine::EngineConfig& config, const std::string& path,
                                     unsigned compute_threads) {
  const engine::LlamaOptions options{.path = path,
                                     .context = config.context,
                                     .cache_cells = config.cache_tokens,
                                     .max_sequences = config.max_sequences,
                                     .max_batch = config.max_batch,
                                     .threads = config.threads != 0 ? config.threads : compute_threads,
                                     .task = config.task,
                                     .chat_template = config.chat_template,
                                     .system_message = engine::default_system_message(config)};
  return [options](const engine::LoadProgress& progress) {
    return engine::load_llama_backend(options, progress);
  };
}

engine::SamplerFactory sampler_factory() { return engine::make_token_sampler; }

Result<std::unique_ptr<cluster::Registry>> registry_of(const cluster::DiscoverConfig& config,
                                                       const RegistryParts& parts) {
  if (config.file) return std::make_unique<cluster::FileRegistry>(*config.file, parts.files);
  if (config.dns) return std::make_unique<cluster::DnsRegistry>(*config.dns, parts.names);
  if (config.consul) return cluster::ConsulRegistry::create(*config.consul, parts.client, parts.files);
  if (config.etcd) return cluster::EtcdRegistry::create(*config.etcd, parts.client);
  if (config.nacos) return cluster::NacosRegistry::create(*config.nacos, parts.client, parts.names);
  return cluster::KubernetesRegistry::create(*config.kubernetes, cluster::pod_environment(), parts.client,
                                             parts.files);
}

Result<std::unique_ptr<center::Document>> document_of(const center::CenterConfig& config,
                                                      const RegistryParts& parts) {
  if (config.file) return std::make_unique<center::FileDocument>(*config.file);
  if (config.consul) return center::ConsulDocument::create(*config.consul, parts.client);
  if (config.etcd) return center::EtcdDocument::create(*config.etcd, parts.client);
  if (config.nacos) return center::NacosDocument::create(*config.nacos, parts.client, parts.names);
  return center::ConfigMapDocument::create(*config.kubernetes, cluster::pod_environment(), parts.client,
                                           parts.files);
}

Result<std::unique_ptr<cluster::Registrar>> registrar_of(const cluster::RegisterConfig& config,
                                                         http::Client& client, BlockingPool& names) {
  if (config.consul) return cluster::ConsulRegistrar::create(*config.consul, config.service, client);
  if (config.etcd) return cluster::EtcdRegistrar::create(*config.etcd, client);
  return cluster::NacosRegistrar::create(*config.nacos, client, names);
}

gateway::BalancerFactory balancer_factory(gateway::Balance balance, std::optional<PrefixKey> key) {
  switch (balance) {
    case gateway::Balance::kRoundRobin:
    case gateway::Balance::kWeightedRoundRobin:  // the same, since weights count in both; HAProxy has two
                                                 // names
      return gateway::make_round_robin;
    case gateway::Balance::kLeastConnections:
      return gateway::make_least_connections;
    case gateway::Balance::kLeastLoad:
      return gateway::make_least_load;
    case gateway::Balance::kPowerOfTwo:
      return gateway::make_power_of_two;
    case gateway::Balance::kPrefixAffinity:
      return gateway::make_prefix_affinity(std::move(key));
  }
  AUTOGLM_ASSERT(false, "an unknown policy");
}

std::optional<PrefixKey> prefix_key(const ServerConfig& config) {
  return config.peer_key.empty() ? std::nullopt : std::optional(PrefixKey(config.peer_key));
}

std::shared_ptr<gateway::ResponseStore> response_store(const ResponsesConfig& config) {
  if (config.store == ResponseStorage::kNone) return nullptr;
  return std::make_shared<gateway::ResponseStore>(
      gateway::ResponseStore::Limits{.max_bytes = config.max_bytes, .ttl = config.ttl});
}

std::vector<gateway::Route> public_routes(const gateway::Pipeline& pipeline,
                                          const gateway::Readiness& readiness,
                                          observe::MetricRegistry& metrics, const Shown& shown,
                                          std::shared_ptr<http::BodyMemory> answer_memory,
                                          BlockingPool& pool) {
  std::vector<gateway::Route> routes;
  const auto settings = std::make_shared<const gateway::GenerationSettings>(gateway::GenerationSettings{
      .ignored_fields = metrics.counter("autoglm_ignored_fields_total",
                                        "Members of request bodies that no protocol of ours knows."),
      .answer_memory = std::move(answer_memory),
      .pool = &pool,
      .fingerprint = fmt::format("fp_{}_{}", version(), engine::llama_release())});
  append(routes, gateway::generation_routes(pipeline, *settings));
  append(routes, gateway::responses_routes(pipeline, *settings, shown.responses));
  append(routes, gateway::model_routes(pipeline, version(), &pool));
  append_health(routes, pipeline.models(), readiness, metrics, shown);
  append(routes, gateway::welcome_routes(pipeline.models(), readiness,
                                         {.version = version(), .tls = shown.tls, .metrics = shown.metrics}));
  append(routes, gateway::ollama_routes(pipeline, settings));
  append(routes, gateway::llama_routes(pipeline, settings, settings->fingerprint));
  append(routes, gateway::kserve_routes(pipeline, readiness, settings, version()));
  routes.push_back(gateway::openapi_route(routes, version()));
  append(routes, gateway::passing_routes(pipeline, &pool));
  append(routes, gateway::grpc::grpc_routes(pipeline, readiness, *settings, version()));
  return routes;
}

admin::AdminAccess admin_access(const ServerConfig& config) {
  const auto& tls = config.admin_tls;
  return {.token = config.admin_token,
          .local = config.admin_listen.is_loopback(),
          .certified = tls && !tls->client_ca.empty() &&
                       tls->client_auth.value_or(ClientAuth::kRequired) == ClientAuth::kRequired};
}

std::vector<gateway::Route> admin_routes(const gateway::Pipeline& pipeline, const ModelSet& models,
                                         const Admission& admission,
                                         const cluster::Registrations& registrations, Reloads& reloads,
                                         const gateway::Readiness& readiness,
                                         observe::MetricRegistry& metrics, const Shown& shown,
                                         const admin::AdminAccess& access) {
  std::vector<gateway::Route> routes = gateway::model_routes(pipeline, version());
  append(routes, admin::endpoint_routes([&models] { return models.pools(); }));
  append(routes, admin::member_routes(
                     [&models] {
                       std::vector<admin::FoundPool> found;
                       for (auto& pool : models.pools()) {
                         auto discovery = models.discovery(pool->name());
                         found.push_back({.pool = std::move(pool), .discovery = std::move(discovery)});
                       }
                       return found;
                     },
                     [&registrations] { return registrations.views(); }));
  append(routes, admin::reload_routes([&reloads] { return reloads.read_when_whole(); }));
  append(routes, admin::config_routes([&reloads] { return reloads.view(); }));
  append(routes, admin::key_routes(key_desk(admission.keys())));
  append(routes, admin::usage_routes(
                     admission.totals(), [&admission] { return admission.currency(); }, admission.index()));
  append_health(routes, pipeline.models(), readiness, metrics, shown);
  return admin::for_operators(std::move(routes), access);
}

std::string version() { return AUTOGLM_VERSION; }

}  // namespace autoglm::app
