#include "cluster/registries/etcd/etcd_registry.h"

#include "cluster/membership/endpoint_config.h"
#include "cluster/registries/retry_delay.h"
#include "runtime/event_loop.h"

#include <string_view>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr std::size_t kLongestLine = RegistryClient::kLargestAnswer;
// A watch may be silent for ever. After so long all is read again, which also finds a server that is frozen.
constexpr Duration kLongestSilence = std::chrono::seconds(10);

}  // namespace

config::Descriptor<EtcdConfig> describe_etcd() {
  using C = EtcdConfig;
  return config::Descriptor<C>("etcd",
                               "Keys of etcd whose values are addresses, as gRPC's naming writes them, or "
                               "`host:port`, or URLs.")
      .field("endpoints", &C::endpoints,
             {.doc = "Members of the cluster; the next one is asked when one does not answer.",
              .example = "[\"http://10.0.0.5:2379\"]",
              .min = 1,
              .address = true})
      .field("prefix", &C::prefix,
             {.doc = "Where its servers' keys begin.",
              .example = "/autoglm/services/smollm2/",
              .min = 1,
              .required = true})
      .field("username", &C::username,
             {.doc = "Who may read the prefix, where etcd asks for that; with `password`."})
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

Result<std::unique_ptr<Registry>> EtcdRegistry::create(const EtcdConfig& config, http::Client& client) {
  auto made = RegistryClient::create({.addresses = config.endpoints, .tls = config.tls}, client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<Registry>(new EtcdRegistry(config, std::move(*made)));
}

Task<Result<void>> EtcdRegistry::log_in() {
  if (config_.username.empty()) co_return Result<void>();
  client_->authorize({});
  const std::string asked = client_->address();
  auto answer =
      co_await client_->post("/v3/auth/authenticate", etcd_login_body(config_.username, config_.password));
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status != 200) co_return fail(registry_refused(asked, *answer));
  auto token = read_etcd_token(answer->body);
  if (!token) co_return fail(std::move(token).error());
  client_->authorize(std::move(*token));
  co_return Result<void>();
}

Task<Result<EtcdRange>> EtcdRegistry::read_all() {
  const std::string asked = client_->address();
  auto answer = co_await client_->post("/v3/kv/range", etcd_range_body(config_.prefix));
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status != 200) co_return fail(registry_refused(asked, *answer));
  co_return read_etcd_range(answer->body);
}

void EtcdRegistry::tell(RegistrySink& sink) const {
  std::vector<Instance> instances;
  for (const auto& [key, value] : values_)
    if (auto instance = read_etcd_instance(value)) instances.push_back(std::move(*instance));
  sink.push(std::move(instances));
}

/// Reads all, and follows a watch until it ends. Errors: why it ended before its time.
Task<Result<void>> EtcdRegistry::follow(RegistrySink& sink) {
  auto all = co_await read_all();
  if (!all) co_return fail(std::move(all).error());
  values_.clear();
  for (EtcdValue& each : all->values) values_.emplace(std::move(each.key), std::move(*each.value));
  tell(sink);
  auto watch = co_await client_->listen("/v3/watch", etcd_watch_body(config_.prefix, all->revision + 1),
                                        kLongestSilence);
  if (!watch) co_return fail(std::move(watch).error());
  std::string buffer;
  while (true) {
    auto count = co_await (*watch)->read(buffer);
    if (!count && count.error().code == ErrorCode::kDeadlineExceeded) co_return Result<void>();
    if (!count) co_return fail(std::move(count).error());
    bool changed = false;
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = buffer.find('\n', begin)) != std::string::npos; begin = end + 1) {
      auto events = read_etcd_events(std::string_view(buffer).substr(begin, end - begin));
      if (!events) co_return fail(std::move(events).error());
      if (events->canceled) {
        co_return fail(ErrorCode::kUnavailable,
                       "etcd has ended the watch" + (events->reason.empty() ? "" : ": " + events->reason));
      }
      for (EtcdValue& each : events->changes) {
        changed = true;
        if (each.value) {
          values_[each.key] = std::move(*each.value);
        } else {
          values_.erase(each.key);
        }
      }
    }
    buffer.erase(0, begin);
    if (changed) tell(sink);
    if (*count == 0) co_return fail(ErrorCode::kUnavailable, "etcd has ended the watch");
    if (buffer.size() > kLongestLine)
      co_return fail(ErrorCode::kBadGateway, "a line of etcd's watch has no end");
  }
}

Task<void> EtcdRegistry::run(RegistrySink& sink) {
  Random random = Random::from_entropy();
  RetryDelay delay;
  bool logged_in = false;
  while (true) {
    Result<void> followed = logged_in ? Result<void>() : co_await log_in();
    if (followed) {
      logged_in = true;
      followed = co_await follow(sink);
    }
    if (followed) {
      delay.reset();
      co_await yield_to_loop();
      continue;
    }
    sink.fail(followed.error());
    logged_in = false;  // the token may be what is wrong
    co_await sleep_for(delay.next(random));
  }
}

}  // namespace autoglm::cluster
