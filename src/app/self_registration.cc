#include "app/self_registration.h"

#include "app/builtins.h"

namespace autoglm::app {

namespace {

std::vector<cluster::ServedModel> served(const gateway::LiveDirectory& live) {
  const auto snapshot = live.now();
  std::vector<cluster::ServedModel> models;
  for (const auto& entry : snapshot->entries())
    models.push_back({.name = entry.name, .aliases = entry.aliases, .state = entry.endpoint->status().state});
  return models;
}

}  // namespace

SelfRegistration::SelfRegistration(const Dependencies& dependencies)
    : names_(dependencies.names),
      registrations_(
          {.served = [&models = dependencies.models] { return served(models); },
           .facts = {.listen = dependencies.listen, .tls = dependencies.tls, .version = version()},
           .registrar = [this](const cluster::RegisterConfig& config) { return registrar(config); },
           .names = dependencies.names},
          dependencies.metrics, dependencies.log) {}

Result<std::unique_ptr<cluster::Registrar>> SelfRegistration::registrar(
    const cluster::RegisterConfig& config) {
  if (!client_) {
    auto tls = TlsClientContext::create();
    if (!tls) return fail(std::move(tls).error());
    client_ = std::make_unique<http::Client>(names_, std::move(*tls));
  }
  return registrar_of(config, *client_, names_);
}

}  // namespace autoglm::app
