#include "cluster/registries/consul/consul_registrar.h"

#include "base/utf8.h"
#include "cluster/registries/consul/consul_client.h"
#include "cluster/registries/consul/consul_registration.h"
#include "http/message.h"

#include <fmt/format.h>

#include <algorithm>

namespace autoglm::cluster {

namespace {

constexpr Duration kMostPatience = std::chrono::seconds(2);  // a beat takes three requests at most

std::string service_path(const Registration& self) {
  return "/v1/agent/service/" + http::percent_encode(self.id);
}

std::unexpected<Error> taken(const Registration& self, const std::string& by) {
  return fail(
      Error{.code = ErrorCode::kUnavailable,
            .message = fmt::format("the id \"{}\" belongs to another server, at {}; give each its own `id`",
                                   self.id, excerpt(by, 128)),
            .reason = std::string(kIdTaken)});
}

/// Of a question for a service's health as text.
bool is_critical(const RegistryClient::Answer& answer) {
  return answer.status == 503 && answer.body.starts_with("critical");
}

std::string health_path(const Registration& of) {
  return "/v1/agent/health/service/id/" + http::percent_encode(of.id) + "?format=text";
}

bool same_address(const Registration& a, const Registration& b) {
  return a.host == b.host && a.port == b.port;
}

}  // namespace

Result<std::unique_ptr<Registrar>> ConsulRegistrar::create(const ConsulRegistrarConfig& config,
                                                           const std::string& service, http::Client& client) {
  RegistryClient::Options options = consul_options(config.connection);
  options.timeout = std::min(kMostPatience, config.ttl / 3);
  auto made = RegistryClient::create(std::move(options), client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<Registrar>(new ConsulRegistrar(config, service, std::move(*made)));
}

/// By the agent's word: a status alone may be that of anybody on the way.
Task<Result<bool>> ConsulRegistrar::is_dead(const Registration& other) {
  const std::string asked = client_->address();
  auto answer = co_await client_->get(health_path(other));
  if (!answer) co_return fail(std::move(answer).error());
  if (is_critical(*answer) || answer->status == 404) co_return true;
  if (answer->status == 200 || answer->status == 429) co_return false;  // 429: it is warned of
  co_return fail(registry_refused(asked, *answer));
}

/// Ids are unique in an agent; this looks at the other agents.
Task<Result<std::optional<std::string>>> ConsulRegistrar::rival(const Registration& self) {
  const std::string asked = client_->address();
  auto answer =
      co_await client_->get(fmt::format("/v1/health/service/{}?filter={}", http::percent_encode(self.service),
                                        http::percent_encode(fmt::format("Service.ID == \"{}\"", self.id))));
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status != 200) co_return fail(registry_refused(asked, *answer));
  co_return read_consul_rival(answer->body, self);
}

Task<Result<void>> ConsulRegistrar::check_rivals(const Registration& self) {
  auto found = co_await rival(self);
  if (!found) co_return fail(std::move(found).error());
  if (*found) co_return taken(self, **found);
  co_return Result<void>();
}

/// Behind a write: another agent may have been written to between our look and our write. Both see each other
/// then, and so the lesser address stays, lest both give way.
Task<Result<void>> ConsulRegistrar::settle(const Registration& self) {
  auto found = co_await rival(self);
  if (!found) co_return fail(std::move(found).error());
  if (*found && **found < fmt::format("{}:{}", self.host, self.port)) {
    if (auto gone = co_await deregister(self); !gone) co_return fail(std::move(gone).error());
    co_return taken(self, **found);
  }
  unobserved_ = false;
  co_return Result<void>();
}

Task<Result<void>> ConsulRegistrar::write(const Registration& self) {
  const std::string asked = client_->address();
  may_stand_ = true;  // an answer may be lost, and we may be stopped before it
  auto answer = co_await client_->put("/v1/agent/service/register?replace-existing-checks=true",
                                      consul_register_body(self, config_));
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status != 200) co_return fail(registry_refused(asked, *answer));
  written_ = true;
  unobserved_ = true;
  co_return Result<void>();
}

/// Where Consul asks: whether the agent knows our check. Errors: it finds us critical.
Task<Result<bool>> ConsulRegistrar::is_found_well(const Registration& self) {
  const std::string asked = client_->address();
  auto answer = co_await client_->get(health_path(self));
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status == 200 || answer->status == 429) co_return true;
  if (answer->status == 404) co_return false;
  if (is_critical(*answer))
    co_return fail(ErrorCode::kUnavailable,
                   fmt::format("Consul finds /readyz failing at {}, and sends nobody here: see its check",
                               HostPort{self.host, self.port}.to_string()));
  co_return fail(registry_refused(asked, *answer));
}

/// Whether the agent knows our check.
Task<Result<bool>> ConsulRegistrar::beat(const Registration& self) {
  if (config_.check == ConsulCheck::kHttp) co_return co_await is_found_well(self);
  const std::string asked = client_->address();
  auto answer = co_await client_->put("/v1/agent/check/pass/" + http::percent_encode("service:" + self.id),
                                      std::string());
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status == 200) co_return true;
  // Older agents answer 500 for a check that they do not know.
  if (answer->status == 404 || answer->status == 500) co_return false;
  co_return fail(registry_refused(asked, *answer));
}

Task<Result<Duration>> ConsulRegistrar::keep(const Registration& self) {
  const std::string asked = client_->address();
  auto answer = co_await client_->get(service_path(self));
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status != 200 && answer->status != 404) co_return fail(registry_refused(asked, *answer));
  if (answer->status == 404) {
    if (auto free = co_await check_rivals(self); !free) co_return fail(std::move(free).error());
  } else {
    auto known = read_consul_service(answer->body);
    if (!known) co_return fail(std::move(known).error());
    if (!same_address(*known, self)) {
      auto dead = co_await is_dead(*known);
      if (!dead) co_return fail(std::move(dead).error());
      if (!*dead) co_return taken(self, HostPort{known->host, known->port}.to_string());
    } else if (written_ && *known == self) {
      if (unobserved_)
        if (auto ours = co_await settle(self); !ours) co_return fail(std::move(ours).error());
      auto alive = co_await beat(self);
      if (!alive) co_return fail(std::move(alive).error());
      if (*alive) co_return config_.ttl;
    }
  }
  if (auto done = co_await write(self); !done) co_return fail(std::move(done).error());
  // A check that was there keeps its state, be it critical.
  auto alive = co_await beat(self);
  if (!alive) co_return fail(std::move(alive).error());
  if (!*alive)
    co_return fail(ErrorCode::kUnavailable, "Consul does not know the check that it has just been given");
  co_return config_.ttl;
}

Task<Result<void>> ConsulRegistrar::remove(const Registration& self) {
  if (!may_stand_) co_return Result<void>();
  const std::string asked = client_->address();
  auto answer = co_await client_->get(service_path(self));
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status == 404) co_return Result<void>();
  if (answer->status != 200) co_return fail(registry_refused(asked, *answer));
  auto known = read_consul_service(answer->body);
  if (!known) co_return fail(std::move(known).error());
  if (!same_address(*known, self)) co_return Result<void>();  // another one has it by now
  co_return co_await deregister(self);
}

Task<Result<void>> ConsulRegistrar::deregister(const Registration& self) {
  const std::string asked = client_->address();
  auto answer =
      co_await client_->put("/v1/agent/service/deregister/" + http::percent_encode(self.id), std::string());
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status != 200 && answer->status != 404) co_return fail(registry_refused(asked, *answer));
  may_stand_ = written_ = false;
  co_return Result<void>();
}

}  // namespace autoglm::cluster
