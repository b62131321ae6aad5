#include "cluster/registration/register_config.h"

#include "cluster/registries/host_port.h"
#include "http/url.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace autoglm::config {

/// A list of names, or the word `all`.
template <>
Type make_type<cluster::ModelNames>(std::shared_ptr<const Section>) {
  using cluster::ModelNames;
  Type type = make_type<std::vector<std::string>>(nullptr);
  type.names = {"all"};
  type.clear = [](void* target) { static_cast<ModelNames*>(target)->names.clear(); };
  type.add = [](void* target, const std::string&) -> void* {
    return &static_cast<ModelNames*>(target)->names.emplace_back();
  };
  type.visit = [](const void* source, const Type::Visit& visit) {
    for (const std::string& name : static_cast<const ModelNames*>(source)->names) visit({}, &name);
  };
  type.assign = detail::assign<ModelNames>;
  return type;
}

}  // namespace autoglm::config

namespace autoglm::cluster {

namespace {

constexpr std::string_view kInIds = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:@";

std::vector<config::Violation> mistakes(const RegisterConfig& c) {
  std::vector<config::Violation> wrong;
  if (c.id.find_first_not_of(kInIds) != std::string::npos)
    wrong.push_back({"id", "may have letters, digits and -_.:@"});
  if (const auto address = read_own_address(c.address); !c.address.empty() && !address)
    wrong.push_back({"address", "must be host:port, or a host alone"});
  for (std::size_t i = 0; i < c.models.names.size(); ++i)
    if (c.models.names[i].empty() || c.models.names[i].contains(','))
      wrong.push_back({fmt::format("models[{}]", i), "must be a name without a comma"});
  return wrong;
}

}  // namespace

config::Descriptor<RegisterConfig> describe_register() {
  using C = RegisterConfig;
  return config::Descriptor<C>("register",
                               "A registry that this server enters itself into while its models are ready.")
      .section("consul", &C::consul, describe_consul_registrar())
      .section("etcd", &C::etcd, describe_etcd_registrar())
      .section("nacos", &C::nacos, describe_nacos_registrar())
      .field("service", &C::service,
             {.doc = "The service that we are an instance of.", .example = "llm", .min = 1, .max = 255})
      .field(
          "id", &C::id,
          {.doc = "Ours alone in the service; one that another server has is refused. Unset: the service and "
                  "our address.",
           .max = 255})
      .field(
          "address", &C::address,
          {.doc = "Where others reach us, with or without a port. Unset: the address of `server.listen`, or, "
                  "where that is every address, the one from which the registry is reached; and its port.",
           .example = "10.0.0.5:8080"})
      .field("models", &C::models,
             {.doc = "The models that it is told of; we are entered when they are ready.",
              .example = "[smollm2]"})
      .field("tags", &C::tags, {.doc = "Tags, for those who look for us.", .example = "[prod, gpu]"})
      .field("metadata", &C::metadata,
             {.doc = "Metadata, beside `models`, `version`, `protocol`, `scheme`, `path` and `load`, or in "
                     "their place.",
              .example = "{ zone: eu-1 }"})
      .field("weight", &C::weight,
             {.doc = "Our share of the requests, for those who weigh.", .min = 1, .max = 65'535})
      .one_of({"consul", "etcd", "nacos"},
              {.none = "names no registry; add",
               .several = "names several registries; write an item of the list for each"})
      .check(mistakes);
}

bool is_same_entry(const RegisterConfig& a, RegisterConfig b) {
  b.models = a.models;
  b.tags = a.tags;
  b.metadata = a.metadata;
  b.weight = a.weight;
  return a == b;
}

bool may_share_id(const RegisterConfig& a, const RegisterConfig& b) {
  // A registry has several addresses and names, and an id that is found may be any.
  const bool same_kind = a.consul.has_value() == b.consul.has_value() &&
                         a.etcd.has_value() == b.etcd.has_value() &&
                         a.nacos.has_value() == b.nacos.has_value();
  return same_kind && (a.id.empty() || b.id.empty() || a.id == b.id);
}

bool shares_id(const RegisterConfig& a, const RegisterConfig& b) {
  return may_share_id(a, b) && a.id == b.id && a.service == b.service && a.address == b.address &&
         registry_address(a) == registry_address(b);
}

std::vector<HostPort> registry_addresses(const RegisterConfig& config) {
  const std::vector<std::string> urls = config.consul ? std::vector{config.consul->connection.address}
                                        : config.etcd ? config.etcd->connection.endpoints
                                                      : config.nacos->access.urls();
  std::vector<HostPort> all;
  for (const std::string& each : urls) {
    const auto url = http::Url::parse(each);
    all.push_back(url ? url->host : HostPort{});
  }
  return all;
}

HostPort registry_address(const RegisterConfig& config) { return registry_addresses(config).front(); }

std::string asks(const RegisterConfig& config) {
  std::string who = config.address.empty() ? "its address towards the registry" : config.address;
  return fmt::format("{}; service {}, id {}, at {}",
                     config.consul ? asks(*config.consul)
                     : config.etcd ? asks(*config.etcd)
                                   : asks(*config.nacos),
                     config.service, config.id.empty() ? config.service + "-HOST-PORT" : config.id, who);
}

std::optional<HostPort> read_own_address(const std::string& text) {
  if (auto address = read_host_port(text)) return address;
  const bool bare_ipv6 = text.contains(':') && !text.starts_with('[');
  const auto url = http::Url::parse(bare_ipv6 ? "http://[" + text + "]" : "http://" + text);
  const bool has_port = !bare_ipv6 && text.rfind(':') > text.rfind(']') && text.contains(':');
  if (!url || has_port || url->target != "/" || text.ends_with('/')) return std::nullopt;
  return HostPort{url->host.host, 0};
}

}  // namespace autoglm::cluster
