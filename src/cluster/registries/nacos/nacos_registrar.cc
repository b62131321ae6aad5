#include "cluster/registries/nacos/nacos_registrar.h"

#include "base/json_string.h"
#include "cluster/registries/nacos/nacos_messages.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr const char* kNacosForm = "application/x-www-form-urlencoded";
// How long Nacos believes an instance without a beat, and a connection without a sign of life.
constexpr Duration kNacosPatience = std::chrono::seconds(15);

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
  // An entry at another address is another entry.
  if (entry_ && (entry_->self.host != self.host || entry_->self.port != self.port ||
                 entry_->self.service != self.service))
    if (auto gone = co_await take_back(*entry_); !gone) co_return fail(std::move(gone).error());
  if (nacos_->way() == NacosChannel::Way::kGrpc) {
    auto kept = co_await keep_by_grpc(self);
    if (kept || !nacos_->falls_back(kept.error())) co_return kept;
  }
  co_return co_await keep_by_http(self);
}

Task<Result<Duration>> NacosRegistrar::keep_by_grpc(const Registration& self) {
  if (!connection_ || connection_->over()) {
    connection_.reset();  // and with it, what it had registered
    if (entry_ && entry_->api == Api::kGrpc) entry_.reset();
    auto connected = co_await nacos_->connect();
    if (!connected) co_return fail(std::move(connected).error());
    connection_ = std::move(*connected);
  }
  if (!entry_ || entry_->api != Api::kGrpc || entry_->self != self)
    co_return co_await enter(Api::kGrpc, self);
  auto well = co_await nacos_->ask(*connection_, {.type = "HealthCheckRequest", .body = "{}"});
  if (!well) co_return fail(std::move(well).error());
  co_return kNacosPatience;
}

Task<Result<Duration>> NacosRegistrar::keep_by_http(const Registration& self) {
  if (entry_ && entry_->api == http_ && entry_->self == self) {
    auto lasts = co_await beat(http_, self);
    if (lasts || lasts.error().code != ErrorCode::kNotFound) co_return lasts;
    entry_.reset();  // it was forgotten
  }
  auto entered = co_await enter(http_, self);
  if (entered || entered.error().code != ErrorCode::kUnimplemented) co_return entered;
  http_ = http_ == Api::kV1 ? Api::kV3 : Api::kV1;
  co_return co_await enter(http_, self);
}

Task<Result<Duration>> NacosRegistrar::enter(Api api, const Registration& self) {
  auto listed = co_await instances(api, self);
  if (!listed) co_return fail(std::move(listed).error());
  const auto service = read_nacos_service(*listed);
  if (!service) co_return fail(service.error());
  if (const Instance* other = namesake(service->instances, self)) {
    co_return fail(Error{.code = ErrorCode::kInvalidArgument,
                         .message = fmt::format("{}:{} is registered in {} with our id, {}", other->host,
                                                other->port, self.service, self.id),
                         .reason = std::string(kIdTaken)});
  }
  if (auto written = co_await write(api, self); !written) co_return fail(std::move(written).error());
  entry_ = Entry{.self = self, .api = api};
  co_return kNacosPatience;
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

Task<Result<std::string>> NacosRegistrar::request(const char* type, const Registration& self) {
  co_return co_await nacos_->ask(
      *connection_,
      {.type = "InstanceRequest",
       .body = fmt::format(
           R"({{"namespace":{},"serviceName":{},"groupName":{},"type":"{}","instance":{{"ip":{},"port":{},)"
           R"("weight":{},"healthy":true,"enabled":true,"ephemeral":true,"clusterName":{},"metadata":{}}}}})",
           json_string(config_.access.name_space), json_string(self.service), json_string(config_.group),
           type, json_string(self.host), self.port, self.weight, json_string(config_.cluster),
           metadata_json(self))});
}

Task<Result<std::string>> NacosRegistrar::instances(Api api, const Registration& self) {
  if (api == Api::kGrpc) {
    co_return co_await nacos_->ask(
        *connection_, {.type = "ServiceQueryRequest",
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
  if (api == Api::kGrpc) {
    auto answer = co_await request("registerInstance", self);
    if (!answer) co_return fail(std::move(answer).error());
    co_return Result<void>();
  }
  auto answer = co_await call("POST", api == Api::kV1 ? "/v1/ns/instance" : "/v3/client/ns/instance",
                              nacos_form({{"serviceName", self.service},
                                          {"groupName", config_.group},
                                          {"namespaceId", config_.access.name_space},
                                          {"clusterName", config_.cluster},
                                          {"ip", self.host},
                                          {"port", std::to_string(self.port)},
                                          {"weight", std::to_string(self.weight)},
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

Task<Result<void>> NacosRegistrar::take_back(Entry entry) {
  if (entry.api == Api::kGrpc) {
    if (connection_ && !connection_->over())
      if (auto answer = co_await request("deregisterInstance", entry.self); !answer)
        co_return fail(std::move(answer).error());
    connection_.reset();
  } else {
    auto answer =
        co_await call("DELETE", entry.api == Api::kV1 ? "/v1/ns/instance" : "/v3/client/ns/instance",
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
  }
  entry_.reset();
  co_return Result<void>();
}

Task<Result<void>> NacosRegistrar::remove(const Registration& /*self*/) {
  if (!entry_) co_return Result<void>();
  co_return co_await take_back(*entry_);
}

}  // namespace autoglm::cluster
