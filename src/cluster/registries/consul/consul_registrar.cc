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

/// An agent answers for its health by a status, and so it need not be read.
Task<Result<bool>> ConsulRegistrar::is_dead(const Registration& other) {
  const std::string asked = client_->address();
  auto answer =
      co_await client_->get("/v1/agent/health/service/id/" + http::percent_encode(other.id) + "?format=text");
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status == 503 || answer->status == 404) co_return true;
  if (answer->status == 200 || answer->status == 429) co_return false;  // 429: it is warned of
  co_return fail(registry_refused(asked, *answer));
}

/// Ids are unique in an agent; this looks at the other agents.
Task<Result<void>> ConsulRegistrar::check_rivals(const Registration& self) {
  const std::string asked = client_->address();
  auto answer =
      co_await client_->get(fmt::format("/v1/health/service/{}?filter={}", http::percent_encode(self.service),
                                        http::percent_encode(fmt::format("Service.ID == \"{}\"", self.id))));
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status != 200) co_return fail(registry_refused(asked, *answer));
  auto rival = read_consul_rival(answer->body, self);
  if (!rival) co_return fail(std::move(rival).error());
  if (*rival) co_return taken(self, **rival);
  co_return Result<void>();
}

Task<Result<void>> ConsulRegistrar::write(const Registration& self) {
  const std::string asked = client_->address();
  auto answer = co_await client_->put("/v1/agent/service/register?replace-existing-checks=true",
                                      consul_register_body(self, config_));
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status != 200) co_return fail(registry_refused(asked, *answer));
  written_ = true;
  co_return Result<void>();
}

/// Whether the agent knows our check.
Task<Result<bool>> ConsulRegistrar::beat(const Registration& self) {
  if (config_.check == ConsulCheck::kHttp) co_return true;
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
  if (!written_) co_return Result<void>();
  const std::string asked = client_->address();
  auto answer = co_await client_->get(service_path(self));
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status == 404) co_return Result<void>();
  if (answer->status != 200) co_return fail(registry_refused(asked, *answer));
  auto known = read_consul_service(answer->body);
  if (!known) co_return fail(std::move(known).error());
  if (!same_address(*known, self)) co_return Result<void>();  // another one has it by now
  answer =
      co_await client_->put("/v1/agent/service/deregister/" + http::percent_encode(self.id), std::string());
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status != 200 && answer->status != 404) co_return fail(registry_refused(asked, *answer));
  written_ = false;
  co_return Result<void>();
}

}  // namespace autoglm::cluster
