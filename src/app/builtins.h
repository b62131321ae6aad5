#pragma once

#include "admin/admin_access.h"
#include "admin/admin_routes.h"
#include "app/admission.h"
#include "app/app_config.h"
#include "app/load_config.h"
#include "app/model_set.h"
#include "app/reloads.h"
#include "app/server_config.h"
#include "center/center_config.h"
#include "center/document.h"
#include "cluster/discovery/discover_config.h"
#include "cluster/registration/registrations.h"
#include "cluster/registries/registry.h"
#include "engine/backends/backend.h"
#include "engine/engine_config.h"
#include "engine/token_sampler.h"
#include "gateway/front/http/readiness.h"
#include "gateway/front/http/response_store.h"
#include "gateway/front/http/route.h"
#include "gateway/pipeline.h"
#include "gateway/resilience/pool_config.h"
#include "gateway/routing/balancer.h"

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::app {

/// All that this binary has, listed in one place.

/// Where the configuration comes from. Errors: that the file cannot be read, as a line.
std::expected<ConfigInputs, std::string> config_inputs(const ServeOptions& options,
                                                       const Environment& environment);

/// Loads `path` with the backend that its format asks for.
engine::BackendLoader backend_loader(const engine::EngineConfig& config, const std::string& path,
                                     unsigned compute_threads);
engine::SamplerFactory sampler_factory();

/// The policies of balancing.
gateway::BalancerFactory balancer_factory(gateway::Balance balance, std::optional<PrefixKey> key);

/// What registries use; all of it outlives them.
struct RegistryParts {
  http::Client& client;  ///< of the control loop
  BlockingPool& files;
  BlockingPool& names;  ///< asks the DNS
};
/// The registry that one of `models[].discover` names. Errors: a certificate that cannot be read.
Result<std::unique_ptr<cluster::Registry>> registry_of(const cluster::DiscoverConfig& config,
                                                       const RegistryParts& parts);
/// The registrar that one of `register` names. Errors: a certificate that cannot be read.
Result<std::unique_ptr<cluster::Registrar>> registrar_of(const cluster::RegisterConfig& config,
                                                         http::Client& client, BlockingPool& names);

/// The text that `center` names. Errors: a certificate that cannot be read, or, of Kubernetes, that this is
/// no pod.
Result<std::unique_ptr<center::Document>> document_of(const center::CenterConfig& config,
                                                      const RegistryParts& parts);

/// What clients are shown of this process.
struct Shown {
  bool metrics = true;
  bool tls = false;  ///< clients reach it with TLS
  std::optional<PrefixKey> prefix_key = std::nullopt;
  std::shared_ptr<gateway::ResponseStore> responses = nullptr;  ///< null: none are kept
};
/// `responses`; null: none are kept.
std::shared_ptr<gateway::ResponseStore> response_store(const ResponsesConfig& config);
/// `server.peer_key`.
std::optional<PrefixKey> prefix_key(const ServerConfig& config);

/// Everything that clients can call; `answer_memory`: for whole answers; `pool` reads long bodies.
std::vector<gateway::Route> public_routes(const gateway::Pipeline& pipeline,
                                          const gateway::Readiness& readiness,
                                          observe::MetricRegistry& metrics, const Shown& shown,
                                          std::shared_ptr<http::BodyMemory> answer_memory,
                                          BlockingPool& pool);
/// Who may call the admin address.
admin::AdminAccess admin_access(const ServerConfig& config);
/// What the operator can call, on the admin address.
std::vector<gateway::Route> admin_routes(const gateway::Pipeline& pipeline, const ModelSet& models,
                                         const Admission& admission,
                                         const cluster::Registrations& registrations, Reloads& reloads,
                                         const gateway::Readiness& readiness,
                                         observe::MetricRegistry& metrics, const Shown& shown,
                                         const admin::AdminAccess& access);

std::string version();

}  // namespace autoglm::app
