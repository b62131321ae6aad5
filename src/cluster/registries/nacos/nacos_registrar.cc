#include "cluster/registries/nacos/nacos_registrar.h"

#include "base/json_string.h"
#include "cluster/registries/nacos/nacos_messages.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr const char* kNacosForm = "application/x-www-form-urlencoded";
// How long Nacos believes an instance without a beat, and a connection without a sign of life.
constexpr Duration kNacosPatience = std::chrono::seconds(15);
constexpr std::uint32_t kNacosHeaviest = 10'000;  // it refuses more

std::uint32_t weight_of(const Registration& self) { return std::min(self.weight, kNacosHeaviest); }

std::map<std::string, std::string> metadata_of(const Registration& self) {
  auto metadata = self.metadata;
  metadata.insert_or_assign("id", self.id);
  if (!self.tags.empty()) metadata.insert_or_assign("tags", fmt::format("{}", fmt::join(self.tags, ",")));
  return metadata;
}

std::string metadata_json(const Registration& self) {
  std::string json = "{";
  for (const auto& [key, value] : metadata_of(self)) {
    if (json.size() > 1) json += ',';
    append_json_string(json, key);
    json += ':';
    append_json_string(json, value);
  }
  return json + '}';
}

/// Another healthy instance with our id.
const Instance* namesake(const std::vector<Instance>& instances, const Registration& self) {
  for (const Instance& each : instances) {
    const auto id = each.metadata.find("id");
    if (each.healthy && id != each.metadata.end() && id->second == self.id &&
        (each.host != self.host || each.port != self.port))
      return &each;
  }
  return nullptr;
}

/// An entry at another address is another entry.
bool is_elsewhere(const Registration& entry, const Registration& self) {
  return entry.host != self.host || entry.port != self.port || entry.service != self.service;
}

bool has_no_such_path(int status) { return status == 404 || status == 410 || status == 501; }

}  // namespace

NacosRegistrar::NacosRegistrar(const NacosRegistrarConfig& config, std::unique_ptr<NacosChannel> nacos)
    : config_(config), nacos_(std::move(nacos)), name_("nacos " + config.group) {}

Result<std::unique_ptr<Registrar>> NacosRegistrar::create(const NacosRegistrarConfig& config,
                                                          http::Client& client, BlockingPool& names) {
  auto made = NacosChannel::create(config.access, "naming", client, names);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<Registrar>(new NacosRegistrar(config, std::move(*made)));
}

Task<Result<Duration>> NacosRegistrar::keep(const Registration& self) {
  if (by_grpc_ && is_elsewhere(by_grpc_->self, self)) co_await leave_grpc();
  if (by_http_ && is_elsewhere(by_http_->self, self))
    if (auto gone = co_await leave_http(); !gone) co_return fail(std::move(gone).error());
  if (nacos_->way() == NacosChannel::Way::kGrpc) {
    auto kept = co_await keep_by_grpc(self);
    if (kept) {
      // If that fails, the next call tries it again.
      if (by_http_) static_cast<void>(co_await leave_http());
      co_return kept;
    }
    if (!nacos_->falls_back(kept.error())) co_return kept;
  }
  auto kept = co_await keep_by_http(self);
  if (kept) co_await leave_grpc();
  co_return kept;
}

Task<Result<Duration>> NacosRegistrar::keep_by_grpc(const Registration& self) {
  std::unique_ptr<NacosConnection> fresh;
  if (!connection_ || connection_->over()) {
    auto connected = co_await nacos_->connect();
    if (!connected) co_return fail(std::move(connected).error());
    fresh = std::move(*connected);
    // What the server may still hold for the old connection stays until the new entry stands.
    if (!by_grpc_) connection_ = std::move(fresh);
  }
  if (fresh) {
    if (auto entered = co_await enter_by_grpc(*fresh, self); !entered)
      co_return fail(std::move(entered).error());
    connection_ = std::move(fresh);
  } else if (by_grpc_ && by_grpc_->sure && by_grpc_->self == self) {
    auto well = co_await nacos_->ask(*connection_, {.type = "HealthCheckRequest", .body = "{}"});
    if (!well) co_return fail(std::move(well).error());
    co_return kNacosPatience;
  } else if (auto entered = co_await enter_by_grpc(*connection_, self); !entered) {
    co_return fail(std::move(entered).error());
  }
  by_grpc_ = Entry{.self = self, .api = Api::kGrpc, .sure = true};
  co_return kNacosPatience;
}

Task<Result<void>> NacosRegistrar::enter_by_grpc(NacosConnection& connection, const Registration& self) {
  if (auto free = co_await is_free(Api::kGrpc, &connection, self); !free) co_return free;
  // One that is fresh takes its entry along when this fails.
  if (&connection == connection_.get()) by_grpc_ = Entry{.self = self, .api = Api::kGrpc, .sure = false};
  auto answer = co_await request(connection, "registerInstance", self);
  if (!answer) co_return fail(std::move(answer).error());
  co_return Result<void>();
}

Task<Result<Duration>> NacosRegistrar::keep_by_http(const Registration& self) {
  if (by_http_ && by_http_->sure && by_http_->api == http_ && by_http_->self == self) {
    auto lasts = co_await beat(http_, self);
    if (lasts || lasts.error().code != ErrorCode::kNotFound) co_return lasts;
    by_http_.reset();  // it was forgotten
  }
  auto entered = co_await enter_by_http(http_, self);
  if (entered || entered.error().code != ErrorCode::kUnimplemented) co_return entered;
  http_ = http_ == Api::kV1 ? Api::kV3 : Api::kV1;
  co_return co_await enter_by_http(http_, self);
}

Task<Result<Duration>> NacosRegistrar::enter_by_http(Api api, const Registration& self) {
  if (auto free = co_await is_free(api, nullptr, self); !free) co_return fail(std::move(free).error());
  by_http_ = Entry{.self = self, .api = api, .sure = false};
  if (auto written = co_await write(api, self); !written) co_return fail(std::move(written).error());
  by_http_->sure = true;
  co_return kNacosPatience;
}

/// Whether no other server has our id.
Task<Result<void>> NacosRegistrar::is_free(Api api, NacosConnection* connection, const Registration& self) {
  auto listed = co_await instances(api, connection, self);
  if (!listed) co_return fail(std::move(listed).error());
  const auto service = read_nacos_service(*listed, NacosProtection::kIgnored);
  if (!service) co_return fail(service.error());
  if (const Instance* other = namesake(service->instances, self)) {
    co_return fail(Error{.code = ErrorCode::kInvalidArgument,
                         .message = fmt::format("{}:{} is registered in {} with our id, {}", other->host,
                                                other->port, self.service, self.id),
                         .reason = std::string(kIdTaken)});
  }
  co_return Result<void>();
}

Task<Result<std::string>> NacosRegistrar::call(const char* method, std::string path, std::string form) {
  const bool has_body = std::string_view(method) != "GET" && std::string_view(method) != "DELETE";
  const std::string asked = nacos_->http().address();
  auto answer = co_await nacos_->http().send({.method = method,
                                              .path = has_body ? path : path + "?" + form,
                                              .body = has_body ? form : std::string(),
                                              .content_type = has_body ? kNacosForm : ""});
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status == 200) co_return std::move(answer->body);
  Error error = registry_refused(asked, *answer);
  if (has_no_such_path(answer->status)) error.code = ErrorCode::kUnimplemented;
  co_return fail(std::move(error));
}

Task<Result<std::string>> NacosRegistrar::request(NacosConnection& connection, const char* type,
                                                  const Registration& self) {
  co_return co_await nacos_->ask(
      connection,
      {.type = "InstanceRequest",
       .body = fmt::format(
           R"({{"namespace":{},"serviceName":{},"groupName":{},"type":"{}","instance":{{"ip":{},"port":{},)"
           R"("weight":{},"healthy":true,"enabled":true,"ephemeral":true,"clusterName":{},"metadata":{}}}}})",
           json_string(config_.access.name_space), json_string(self.service), json_string(config_.group),
           type, json_string(self.host), self.port, weight_of(self), json_string(config_.cluster),
           metadata_json(self))});
}

Task<Result<std::string>> NacosRegistrar::instances(Api api, NacosConnection* connection,
                                                    const Registration& self) {
  if (api == Api::kGrpc) {
    co_return co_await nacos_->ask(
        *connection, {.type = "ServiceQueryRequest",
                      .body = fmt::format(R"({{"namespace":{},"serviceName":{},"groupName":{},"cluster":"",)"
                                          R"("healthyOnly":false}})",
                                          json_string(config_.access.name_space), json_string(self.service),
                                          json_string(config_.group))});
  }
  co_return co_await call("GET", api == Api::kV1 ? "/v1/ns/instance/list" : "/v3/client/ns/instance/list",
                          nacos_form({{"serviceName", self.service},
                                      {"groupName", config_.group},
                                      {"namespaceId", config_.access.name_space},
                                      {"clusterName", api == Api::kV3 ? "," : ""}}));
}

Task<Result<void>> NacosRegistrar::write(Api api, const Registration& self) {
  auto answer = co_await call("POST", api == Api::kV1 ? "/v1/ns/instance" : "/v3/client/ns/instance",
                              nacos_form({{"serviceName", self.service},
                                          {"groupName", config_.group},
                                          {"namespaceId", config_.access.name_space},
                                          {"clusterName", config_.cluster},
                                          {"ip", self.host},
                                          {"port", std::to_string(self.port)},
                                          {"weight", std::to_string(weight_of(self))},
                                          {"enabled", "true"},
                                          {"healthy", "true"},
                                          {"ephemeral", "true"},
                                          {"metadata", metadata_json(self)}}));
  if (!answer) co_return fail(std::move(answer).error());
  co_return read_nacos_outcome(*answer);
}

Task<Result<Duration>> NacosRegistrar::beat(Api api, const Registration& self) {
  const bool v1 = api == Api::kV1;
  auto answer =
      co_await call(v1 ? "PUT" : "POST", v1 ? "/v1/ns/instance/beat" : "/v3/client/ns/instance",
                    nacos_form({{"serviceName", v1 ? config_.group + "@@" + self.service : self.service},
                                {"groupName", config_.group},
                                {"namespaceId", config_.access.name_space},
                                {"clusterName", config_.cluster},
                                {"ip", self.host},
                                {"port", std::to_string(self.port)},
                                {"ephemeral", "true"},
                                {"heartBeat", v1 ? "" : "true"}}));
  if (!answer) co_return fail(std::move(answer).error());
  if (auto outcome = read_nacos_outcome(*answer); !outcome) co_return fail(std::move(outcome).error());
  co_return v1 ? 3 * read_nacos_beat(*answer) : kNacosPatience;
}

/// The end of the connection is what takes the entry back; it only comes sooner when it is also said.
Task<void> NacosRegistrar::leave_grpc() {
  const std::unique_ptr<NacosConnection> connection = std::exchange(connection_, nullptr);
  const std::optional<Entry> entry = std::exchange(by_grpc_, std::nullopt);
  if (connection && !connection->over() && entry)
    static_cast<void>(co_await request(*connection, "deregisterInstance", entry->self));
}

/// Takes the entry back. Errors: it may still stand.
Task<Result<void>> NacosRegistrar::leave_http() {
  const Entry entry = *by_http_;
  auto answer = co_await call("DELETE", entry.api == Api::kV1 ? "/v1/ns/instance" : "/v3/client/ns/instance",
                              nacos_form({{"serviceName", entry.self.service},
                                          {"groupName", config_.group},
                                          {"namespaceId", config_.access.name_space},
                                          {"clusterName", config_.cluster},
                                          {"ip", entry.self.host},
                                          {"port", std::to_string(entry.self.port)},
                                          {"ephemeral", "true"}}));
  if (!answer) co_return fail(std::move(answer).error());
  if (auto outcome = read_nacos_outcome(*answer); !outcome && outcome.error().code != ErrorCode::kNotFound)
    co_return outcome;
  by_http_.reset();
  co_return Result<void>();
}

Task<Result<void>> NacosRegistrar::remove(const Registration& /*self*/) {
  co_await leave_grpc();
  if (!by_http_) co_return Result<void>();
  co_return co_await leave_http();
}

}  // namespace autoglm::cluster
