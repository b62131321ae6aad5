#include "cluster/registries/etcd/etcd_registrar.h"

#include "base/utf8.h"
#include "cluster/registries/etcd/etcd_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace autoglm::cluster {

namespace {

// One silent member of the cluster must not cost the lease: the next one is asked before a third of it is
// over.
constexpr Duration kMostSilence = std::chrono::seconds(2);

bool names_us(const std::string& value, const Registration& self) {
  const auto instance = read_etcd_instance(value);
  return instance && instance->host == self.host && instance->port == self.port;
}

}  // namespace

Result<std::unique_ptr<Registrar>> EtcdRegistrar::create(const EtcdRegistrarConfig& config,
                                                         http::Client& client) {
  auto session = EtcdSession::create(config.connection, client, std::min(kMostSilence, config.ttl / 6));
  if (!session) return fail(std::move(session).error());
  return std::unique_ptr<Registrar>(new EtcdRegistrar(config, std::move(*session)));
}

/// The lease lives on, or a new one is granted.
Task<Result<Duration>> EtcdRegistrar::keep_lease() {
  if (lease_ != 0) {
    auto body = co_await session_->call("/v3/lease/keepalive", etcd_lease_body(lease_));
    if (!body && body.error().code != ErrorCode::kNotFound) co_return fail(std::move(body).error());
    auto kept = body ? read_etcd_lease(*body) : Result<EtcdLease>(EtcdLease{});
    if (!kept) co_return fail(std::move(kept).error());
    if (kept->ttl > 0) co_return std::chrono::seconds(kept->ttl);
    lease_ = 0;  // etcd has forgotten it
  }
  auto body = co_await session_->call(
      "/v3/lease/grant", etcd_grant_body(std::chrono::ceil<std::chrono::seconds>(config_.ttl).count()));
  if (!body) co_return fail(std::move(body).error());
  auto granted = read_etcd_lease(*body);
  if (!granted) co_return fail(std::move(granted).error());
  if (granted->ttl <= 0) co_return fail(ErrorCode::kBadGateway, "etcd grants a lease of no time");
  lease_ = granted->id;
  co_return std::chrono::seconds(granted->ttl);
}

Task<Result<EtcdWrite>> EtcdRegistrar::write(const Registration& self, std::int64_t revision) {
  auto body = co_await session_->call(
      "/v3/kv/txn", etcd_write_body(config_.prefix + self.id, etcd_naming_value(self), lease_, revision));
  if (!body) co_return fail(std::move(body).error());
  co_return read_etcd_write(*body);
}

Task<Result<Duration>> EtcdRegistrar::keep(const Registration& self) {
  auto lasts = co_await keep_lease();
  if (!lasts) co_return fail(std::move(lasts).error());
  auto wrote = co_await write(self, 0);
  if (!wrote) co_return fail(std::move(wrote).error());
  if (wrote->written) co_return *lasts;
  if (wrote->holder) {
    const EtcdHolder& holder = *wrote->holder;
    if (holder.lease == lease_ && holder.value == etcd_naming_value(self)) co_return *lasts;
    if (holder.lease != lease_ && !names_us(holder.value, self)) {
      co_return fail(
          Error{.code = ErrorCode::kUnavailable,
                .message = fmt::format("the id \"{}\" belongs to another server, {}; give each its own `id`",
                                       self.id, excerpt(holder.value, 128)),
                .reason = std::string(kIdTaken)});
    }
    wrote = co_await write(self, holder.revision);
    if (!wrote) co_return fail(std::move(wrote).error());
    if (wrote->written) co_return *lasts;
  }
  co_return fail(ErrorCode::kUnavailable, "the key of etcd is being changed by somebody else");
}

/// The lease takes its key along, and no one else's.
Task<Result<void>> EtcdRegistrar::remove(const Registration&) {
  if (lease_ == 0) co_return Result<void>();
  auto body = co_await session_->call("/v3/lease/revoke", etcd_lease_body(lease_));
  if (!body && body.error().code != ErrorCode::kNotFound) co_return fail(std::move(body).error());
  lease_ = 0;
  co_return Result<void>();
}

}  // namespace autoglm::cluster
