#pragma once

#include "base/result.h"
#include "cluster/registration/registrar.h"
#include "cluster/registries/consul/consul_config.h"

#include <optional>
#include <string>
#include <string_view>

namespace autoglm::cluster {

/// The body of PUT /v1/agent/service/register. It begins as passing: who registers is ready.
std::string consul_register_body(const Registration& self, const ConsulRegistrarConfig& config);

/// Reads the answer of GET /v1/agent/service/ID. Errors: kBadGateway for what is no such answer.
Result<Registration> read_consul_service(std::string_view body);

/// The address of a server that lives, is not at `self`'s address and has its id, in an answer of GET
/// /v1/health/service/NAME; nothing: there is none. Errors: kBadGateway for what is no such answer.
Result<std::optional<std::string>> read_consul_rival(std::string_view body, const Registration& self);

}  // namespace autoglm::cluster
