#include "cluster/registries/etcd/etcd_session.h"

#include "cluster/registries/etcd/etcd_messages.h"

namespace autoglm::cluster {

namespace {

/// The token has expired, or users and roles have changed since.
bool is_about_token(const RegistryClient::Answer& answer) {
  return answer.status == 401 || (answer.status == 400 && answer.body.contains("auth store is old"));
}

}  // namespace

Result<std::unique_ptr<EtcdSession>> EtcdSession::create(const EtcdConnection& connection,
                                                         http::Client& client, Duration timeout) {
  auto made = RegistryClient::create(
      {.addresses = connection.endpoints, .tls = connection.tls, .timeout = timeout}, client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<EtcdSession>(new EtcdSession(connection, std::move(*made)));
}

Task<Result<void>> EtcdSession::log_in() {
  if (logged_in_ || connection_.username.empty()) co_return Result<void>();
  client_->authorize({});
  const std::string asked = client_->address();
  auto answer = co_await client_->post("/v3/auth/authenticate",
                                       etcd_login_body(connection_.username, connection_.password));
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status != 200) co_return fail(registry_refused(asked, *answer));
  auto token = read_etcd_token(answer->body);
  if (!token) co_return fail(std::move(token).error());
  client_->authorize(std::move(*token));
  logged_in_ = true;
  co_return Result<void>();
}

Task<Result<std::string>> EtcdSession::call(std::string_view path, std::string body) {
  const bool had_token = logged_in_;
  if (auto in = co_await log_in(); !in) co_return fail(std::move(in).error());
  std::string asked = client_->address();
  auto answer = co_await client_->post(std::string(path), body);
  if (answer && had_token && is_about_token(*answer)) {
    log_out();
    if (auto in = co_await log_in(); !in) co_return fail(std::move(in).error());
    asked = client_->address();
    answer = co_await client_->post(std::string(path), std::move(body));
  }
  if (!answer) co_return fail(std::move(answer).error());
  if (answer->status != 200) co_return fail(registry_refused(asked, *answer));
  co_return std::move(answer->body);
}

}  // namespace autoglm::cluster
