#include "redis/redis_config.h"

#include <utility>

namespace autoglm::redis {

namespace {

config::Descriptor<TlsConfig> describe_redis_tls() {
  using C = TlsConfig;
  return config::Descriptor<C>("tls", "How Redis is trusted, and how it trusts us; unset: no TLS.")
      .field("ca", &C::ca, {.doc = "A PEM file of the authorities to trust. Unset: the system's."})
      .field("certificate", &C::certificate,
             {.doc = "A PEM file with our certificate, for a server that wants one; with `key`."})
      .field("key", &C::key, {.doc = "A PEM file with its private key."})
      .field("server_name", &C::server_name,
             {.doc = "Whose certificate is expected. Unset: the address's host."})
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (c.certificate.empty() != c.key.empty())
          wrong.push_back({c.key.empty() ? "certificate" : "key", "`certificate` and `key` need each other"});
        const auto made =
            TlsClientContext::create({.ca_file = c.ca, .certificate_file = c.certificate, .key_file = c.key});
        if (wrong.empty() && !made) wrong.push_back({"", made.error().message});
        return wrong;
      });
}

std::vector<config::Violation> check_redis(const RedisConfig& config) {
  std::vector<config::Violation> wrong;
  if (config.sentinels.empty() != config.master.empty())
    wrong.push_back({config.master.empty() ? "sentinels" : "master",
                     "`sentinels` and `master`, the name that they know, need each other"});
  if (config.prefix.find_first_of("{}") != std::string::npos)
    wrong.push_back({"prefix", "must have no braces: a cluster places keys by them"});
  if (!config.username.empty() && config.password.empty())
    wrong.push_back({"username", "needs a `password`"});
  return wrong;
}

}  // namespace

Result<std::shared_ptr<const Options>> RedisConfig::options() const {
  auto made = std::make_shared<Options>();
  made->address = address;
  made->sentinels = sentinels;
  made->master = master;
  made->username = username;
  made->password = password;
  made->timeout = timeout;
  if (tls) {
    auto context = TlsClientContext::create(
        {.ca_file = tls->ca, .certificate_file = tls->certificate, .key_file = tls->key});
    if (!context) return fail(context.error());
    made->tls = std::move(*context);
    made->tls_name = tls->server_name;
  }
  return made;
}

config::Descriptor<RedisConfig> describe_redis() {
  using C = RedisConfig;
  return config::Descriptor<C>(
             "redis",
             "A Redis server (5 or newer), or one that speaks its protocol, in which replicas of this server "
             "count the `requests` and `tokens` of `limits` together. Unset: each counts by itself.")
      .field("address", &C::address,
             {.doc = "The server, or any node of a cluster. With `sentinels` it is not used.",
              .example = "127.0.0.1:6379"})
      .field("username", &C::username,
             {.doc = "A user of Redis' ACL that may run scripts. Unset: the default user."})
      .field(
          "password", &C::password,
          {.doc = "Its password. Unset: none is needed.", .example = "${env:REDIS_PASSWORD}", .secret = true})
      .section("tls", &C::tls, describe_redis_tls())
      .field("sentinels", &C::sentinels,
             {.doc = "Sentinels, which know where `master` is at present. They are asked without a password.",
              .example = "[\"10.0.0.1:26379\", \"10.0.0.2:26379\"]"})
      .field("master", &C::master, {.doc = "The name by which `sentinels` know it.", .example = "mymaster"})
      .field("timeout", &C::timeout,
             {.doc = "The longest that a request waits for Redis. Without an answer by then, this server "
                     "decides alone, by its share of the limit.",
              .min = 0.0001,
              .max = 10})
      .field("prefix", &C::prefix,
             {.doc = "What the names of all keys in Redis begin with. Servers with the same one count "
                     "together.",
              .max = 100})
      .field("replicas", &C::replicas,
             {.doc = "How many servers count together: while Redis does not answer, each lets this part of a "
                     "limit through.",
              .example = "3",
              .min = 1,
              .max = 10'000})
      .check(check_redis);
}

}  // namespace autoglm::redis
