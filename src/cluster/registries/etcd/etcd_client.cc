#include "cluster/registries/etcd/etcd_client.h"

#include "cluster/membership/endpoint_config.h"

#include <utility>

namespace autoglm::cluster {

config::Descriptor<EtcdServers> describe_etcd_servers() {
  using C = EtcdServers;
  return config::Descriptor<C>("etcd", "etcd.")
      .field("endpoints", &C::endpoints,
             {.doc = "Members of the cluster; the next one is asked when one does not answer.",
              .example = "[\"http://10.0.0.5:2379\"]",
              .min = 1,
              .address = true})
      .field("username", &C::username,
             {.doc = "Who has the rights for it, where etcd asks for that; with `password`."})
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

Result<std::unique_ptr<EtcdClient>> EtcdClient::create(const EtcdServers& servers, http::Client& client) {
  auto made = RegistryClient::create({.addresses = servers.endpoints, .tls = servers.tls}, client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<EtcdClient>(new EtcdClient(servers, std::move(*made)));
}

Task<Result<std::string>> EtcdClient::ask(std::string path, std::string body) {
  const std::string asked = client_->address();
  auto answer = co_await client_->post(std::move(path), std::move(body));
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status != 200) co_return fail(registry_refused(asked, *answer));
  co_return std::move(answer->body);
}

Task<Result<void>> EtcdClient::log_in() {
  if (logged_in_ || username_.empty()) co_return Result<void>();
  client_->authorize({});
  const auto answer = co_await ask("/v3/auth/authenticate", etcd_login_body(username_, password_));
  if (!answer) co_return fail(answer.error());
  auto token = read_etcd_token(*answer);
  if (!token) co_return fail(std::move(token).error());
  client_->authorize(std::move(*token));
  logged_in_ = true;
  co_return Result<void>();
}

Task<Result<std::string>> EtcdClient::call(std::string path, std::string body) {
  if (auto in = co_await log_in(); !in) co_return fail(std::move(in).error());
  co_return co_await ask(std::move(path), std::move(body));
}

Task<Result<std::unique_ptr<http::ClientResponse>>> EtcdClient::listen(std::string path, std::string body,
                                                                       Duration patience) {
  if (auto in = co_await log_in(); !in) co_return fail(std::move(in).error());
  co_return co_await client_->listen(std::move(path), std::move(body), patience);
}

}  // namespace autoglm::cluster
