#pragma once

#include "cluster/registration/register_config.h"
#include "cluster/registration/registrar.h"
#include "inference/endpoint.h"

#include <optional>
#include <string>
#include <vector>

/// What registries are told of this process, in one layout for all of them. Pure.
namespace autoglm::cluster {

/// A model that this process serves.
struct ServedModel {
  std::string name;
  std::vector<std::string> aliases = {};
  EndpointStatus::State state = EndpointStatus::State::kLoading;
};

/// What is the same for all registries.
struct ServerFacts {
  HostPort listen;  ///< with the port that was taken
  bool tls = false;
  std::string version;
};

/// The names, of `wanted`, under which clients find a model that is ready, in order; nothing: it is not the
/// time to be found. As /readyz has it: nobody comes while a model loads (unless we are `registered`, which a
/// reload does not change), and one of several that failed keeps nobody away.
std::optional<std::vector<std::string>> models_to_tell(const std::vector<ServedModel>& served,
                                                       const ModelNames& wanted, bool registered);

/// Whether others reach us where we listen only through an address that must be found.
bool listens_everywhere(const HostPort& listen);
/// The entry of a server that is reached at `host`. Its port is that of `config.address`, else of `facts`.
Registration describe_self(const RegisterConfig& config, const ServerFacts& facts, const std::string& host,
                           const std::vector<std::string>& models);

}  // namespace autoglm::cluster
