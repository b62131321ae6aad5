#include "cluster/registries/nacos/nacos_config.h"

#include "base/redact.h"
#include "cluster/membership/endpoint_config.h"
#include "http/url.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace autoglm::cluster {

namespace {

constexpr std::string_view kNacosHere = "http://127.0.0.1:8848";
constexpr std::string_view kNacosContext = "/nacos";  // unless an address has a path of its own

std::vector<config::Violation> wrong_in_access(const NacosAccess& access) {
  std::vector<config::Violation> wrong;
  const auto check = [&](const std::string& key, const std::string& address) {
    if (const auto url = http::Url::parse(address); !url) wrong.push_back({key, url.error().message});
  };
  if (!access.address.empty()) check("address", access.address);
  for (std::size_t i = 0; i < access.addresses.size(); ++i)
    check("addresses[" + std::to_string(i) + "]", access.addresses[i]);
  const auto has_no_second_port = [&access](const std::string& address) {
    const auto url = http::Url::parse(address);
    return url && url->host.port + access.grpc_port_offset > UINT16_MAX;
  };
  if (access.transport != NacosTransport::kHttp && std::ranges::any_of(access.urls(), has_no_second_port))
    wrong.push_back(
        {"grpc_port_offset", "leads beyond the last port; `transport: http` needs no second port"});
  if (!access.address.empty() && !access.addresses.empty())
    wrong.push_back({"addresses", "and `address` are the same thing; give one of them"});
  if (access.username.empty() != access.password.empty())
    wrong.push_back({"username", "and `password` go together"});
  if (!access.username.empty() && !access.token.empty())
    wrong.push_back({"token", "takes the place of a login; leave `username` and `password` out"});
  return wrong;
}

}  // namespace

std::vector<std::string> NacosAccess::urls() const {
  std::vector<std::string> all = addresses;
  if (all.empty()) all.emplace_back(address.empty() ? kNacosHere : std::string_view(address));
  for (std::string& each : all)
    if (const auto url = http::Url::parse(each); url && url->target == "/") {
      while (each.ends_with('/')) each.pop_back();
      each += kNacosContext;
    }
  return all;
}

config::Descriptor<NacosAccess> describe_nacos_access() {
  using A = NacosAccess;
  return config::Descriptor<A>("nacos", "Where Nacos is.")
      .field("address", &A::address,
             {.doc = "Of its HTTP API; with `/nacos` behind it unless it has a path. Unset: "
                     "http://127.0.0.1:8848.",
              .example = "http://10.0.0.5:8848",
              .address = true})
      .field("addresses", &A::addresses,
             {.doc = "Members of its cluster, in place of `address`; the next one is asked when one does not "
                     "answer.",
              .example = "[\"http://10.0.0.5:8848\", \"http://10.0.0.6:8848\"]",
              .address = true})
      .field("namespace", &A::name_space, {.doc = "The namespace's id, not its name.", .min = 1})
      .field("username", &A::username, {.doc = "Where Nacos asks for a login; with `password`."})
      .field("password", &A::password,
             {.doc = "Of `username`.", .example = "${env:NACOS_PASSWORD}", .secret = true})
      .field("token", &A::token, {.doc = "An access token, in place of a login.", .secret = true})
      .section("tls", &A::tls, describe_endpoint_tls())
      .field("transport", &A::transport,
             {.doc = "`grpc`: Nacos pushes changes (2.x and 3.x); `http`: it is asked in intervals; `auto`: "
                     "gRPC, and HTTP while that cannot be reached."})
      .field("grpc_port_offset", &A::grpc_port_offset,
             {.doc = "How far above the port of its HTTP API that of gRPC is.", .min = 1})
      .check(wrong_in_access);
}

config::Descriptor<NacosConfig> describe_nacos() {
  using C = NacosConfig;
  return config::Descriptor<C>("nacos", "A service in Nacos, 1.x to 3.x.")
      .include(&C::access, describe_nacos_access())
      .field("group", &C::group, {.doc = "The service's group.", .min = 1})
      .field("service", &C::service,
             {.doc = "The service's name.", .example = "llm", .min = 1, .required = true})
      .field("clusters", &C::clusters,
             {.doc = "Clusters of the service that count. Unset: all.", .example = "[hangzhou]"})
      .field("interval", &C::interval,
             {.doc = "How often the list is asked for over HTTP, and compared over gRPC. 0: as Nacos says, "
                     "mostly 10 s.",
              .max = 600});
}

config::Descriptor<NacosRegistrarConfig> describe_nacos_registrar() {
  using C = NacosRegistrarConfig;
  return config::Descriptor<C>("nacos", "An ephemeral instance of a service in Nacos, 1.x to 3.x.")
      .include(&C::access, describe_nacos_access())
      .field("group", &C::group, {.doc = "The service's group.", .min = 1})
      .field("cluster", &C::cluster, {.doc = "The service's cluster that we belong to.", .min = 1});
}

std::string asks(const NacosConfig& config) {
  return fmt::format("{} for instances of {} in group {}, namespace {}",
                     without_secrets(config.access.urls().front()), config.service, config.group,
                     config.access.name_space);
}

std::string asks(const NacosRegistrarConfig& config) {
  return fmt::format("{} to enter group {}, cluster {}, namespace {}",
                     without_secrets(config.access.urls().front()), config.group, config.cluster,
                     config.access.name_space);
}

}  // namespace autoglm::cluster
