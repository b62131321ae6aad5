#include "cluster/registries/etcd/etcd_config.h"

#include "base/redact.h"
#include "cluster/membership/endpoint_config.h"
#include "http/url.h"

#include <fmt/format.h>

namespace autoglm::cluster {

namespace {

/// The first is asked; the others wait for its silence.
std::string addresses(const EtcdConnection& connection) {
  std::string text;
  for (const std::string& each : connection.endpoints)
    text += (text.empty() ? "" : " or ") + without_secrets(each);
  return text;
}

}  // namespace

config::Descriptor<EtcdConnection> describe_etcd_connection() {
  using C = EtcdConnection;
  return config::Descriptor<C>("etcd", "How an etcd is reached.")
      .field("endpoints", &C::endpoints,
             {.doc = "Members of the cluster; the next one is asked when one does not answer.",
              .example = "[\"http://10.0.0.5:2379\"]",
              .min = 1,
              .address = true})
      .field("username", &C::username,
             {.doc = "Who may read the prefix, and for `register` write it, where etcd asks for that; with "
                     "`password`."})
      .field("password", &C::password,
             {.doc = "Of `username`.", .example = "${env:ETCD_PASSWORD}", .secret = true})
      .section("tls", &C::tls, describe_endpoint_tls())
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (c.endpoints.empty()) wrong.push_back({"endpoints", "are none; name one at least"});
        for (std::size_t i = 0; i < c.endpoints.size(); ++i)
          if (const auto url = http::Url::parse(c.endpoints[i]); !url)
            wrong.push_back({"endpoints[" + std::to_string(i) + "]", url.error().message});
        if (c.username.empty() != c.password.empty())
          wrong.push_back({"username", "and `password` go together"});
        return wrong;
      });
}

config::Descriptor<EtcdConfig> describe_etcd() {
  using C = EtcdConfig;
  return config::Descriptor<C>("etcd",
                               "Keys of etcd whose values are addresses, as gRPC's naming writes them, or "
                               "`host:port`, or URLs.")
      .include(&C::connection, describe_etcd_connection())
      .field("prefix", &C::prefix,
             {.doc = "Where its servers' keys begin.",
              .example = "/autoglm/services/smollm2/",
              .min = 1,
              .required = true});
}

config::Descriptor<EtcdRegistrarConfig> describe_etcd_registrar() {
  using C = EtcdRegistrarConfig;
  return config::Descriptor<C>("etcd", "A key of etcd with a lease, as gRPC's naming writes it.")
      .include(&C::connection, describe_etcd_connection())
      .field("prefix", &C::prefix,
             {.doc = "What stands before the server's id in its key.",
              .example = "/autoglm/services/smollm2/",
              .min = 1,
              .required = true})
      .field(
          "ttl", &C::ttl,
          {.doc = "The lease's: how long the key stays when we are gone. It is kept alive every third of it.",
           .min = 3,
           .max = 86'400});
}

std::string asks(const EtcdConfig& config) {
  return fmt::format("POST {}/v3/kv/range of the keys below {}, then /v3/watch", addresses(config.connection),
                     config.prefix);
}

std::string asks(const EtcdRegistrarConfig& config) {
  return fmt::format("POST {}/v3/kv/txn of a key below {}, with a lease of {} s",
                     addresses(config.connection), config.prefix,
                     std::chrono::ceil<std::chrono::seconds>(config.ttl).count());
}

}  // namespace autoglm::cluster
