#include "cluster/registries/nacos/nacos_http.h"

#include "base/redact.h"
#include "cluster/registries/nacos/nacos_messages.h"

#include <fmt/format.h>

#include <utility>

namespace autoglm::cluster {

namespace {

constexpr const char* kForm = "application/x-www-form-urlencoded";
// Of 3.x, of 1.x and 2.x.
constexpr const char* kLoginPaths[] = {"/v3/auth/user/login", "/v1/auth/users/login"};

constexpr Duration kRenewedLater = std::chrono::seconds(5);

bool no_such_path(int status) { return status == 404 || status == 405 || status == 410 || status == 501; }
bool refused(int status) { return status == 401 || status == 403; }

}  // namespace

Result<std::unique_ptr<NacosHttp>> NacosHttp::create(const NacosAccess& access, http::Client& client) {
  auto made = RegistryClient::create({.addresses = access.urls(), .tls = access.tls}, client);
  if (!made) return fail(std::move(made).error());
  return std::unique_ptr<NacosHttp>(new NacosHttp(access, std::move(*made)));
}

Task<Result<void>> NacosHttp::log_in() {
  client_->authorize({});
  Result<RegistryClient::Answer> answer = fail(Error{});
  std::string asked;
  for (const char* path : kLoginPaths) {
    asked = client_->address();
    answer = co_await client_->send(
        {.method = "POST",
         .path = path,
         .body = nacos_form({{"username", access_.username}, {"password", access_.password}}),
         .content_type = kForm});
    if (!answer) co_return fail(std::move(answer).error());
    if (!no_such_path(answer->status)) break;
  }
  if (refused(answer->status) || answer->status == 500) {  // 1.x and 2.x say 500 to an unknown user
    co_return fail(Error{.code = ErrorCode::kPermissionDenied,
                         .origin = Origin::kEndpoint,
                         .message = fmt::format("{} refuses the login of {} (status {}); see `username` and "
                                                "`password`",
                                                without_secrets(asked), access_.username, answer->status)});
  }
  if (answer->status != 200) co_return fail(registry_refused(asked, *answer));
  auto login = read_nacos_login(answer->body);
  if (!login) co_return fail(std::move(login).error());
  token_ = std::move(login->token);
  renewed_at_ = Deadline::after(login->valid_for / 10 * 9);
  expires_at_ = Deadline::after(login->valid_for);
  co_return Result<void>();
}

Task<Result<std::string>> NacosHttp::token() {
  if (!logs_in() || (!token_.empty() && !renewed_at_.passed(loop_time()))) co_return token_;
  if (auto logged_in = co_await log_in(); !logged_in) {
    if (token_.empty() || expires_at_.passed(loop_time())) co_return fail(std::move(logged_in).error());
    renewed_at_ = Deadline::after(kRenewedLater);
  }
  co_return token_;
}

Task<Result<RegistryClient::Answer>> NacosHttp::send(RegistryClient::Question question) {
  for (bool again = false;; again = true) {
    auto with = co_await token();
    if (!with) co_return fail(std::move(with).error());
    client_->authorize(with->empty() ? std::string() : "Bearer " + *with);
    auto answer = co_await client_->send(question);
    // The token may be of a member that has been restarted with another key.
    if (!answer || !refused(answer->status) || again || !logs_in()) co_return answer;
    forget_token();
  }
}

}  // namespace autoglm::cluster
