#include "cluster/registries/kubernetes/kubernetes_client.h"

#include "base/redact.h"
#include "base/utf8.h"
#include "cluster/registries/kubernetes/kubernetes_messages.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr Duration kTimeout = std::chrono::seconds(5);
constexpr Duration kLongestRetryAfter = std::chrono::minutes(1);
constexpr std::size_t kLargestRefusal = std::size_t{64} << 10U;

RegistryClient::Options kubernetes_options(const KubernetesAccess& access) {
  return {.addresses = {access.address},
          .headers = {{"Accept", "application/json"}},
          .tls = access.tls,
          .timeout = kTimeout};
}

std::optional<Duration> read_retry_after(std::string_view said) {
  unsigned seconds = 0;
  const auto [end, error] = std::from_chars(said.data(), said.data() + said.size(), seconds);
  if (error != std::errc() || end != said.data() + said.size()) return std::nullopt;
  return std::min<Duration>(std::chrono::seconds(seconds), kLongestRetryAfter);
}

std::string refusal(std::string_view address, int status, std::string_view body) {
  const auto said = read_kubernetes_status(body);
  const char* const remedy = status == 401   ? "; see its token"
                             : status == 403 ? "; give its service account a role that may"
                                             : "";
  return fmt::format("{} answers {}: {}{}", without_secrets(std::string(address)), status,
                     excerpt(said ? said->message : body, 300), remedy);
}

}  // namespace

Result<std::unique_ptr<KubernetesClient>> KubernetesClient::create(KubernetesAccess access,
                                                                   http::Client& client,
                                                                   BlockingPool& files) {
  auto asks = RegistryClient::create(kubernetes_options(access), client);
  if (!asks) return fail(std::move(asks).error());
  return std::unique_ptr<KubernetesClient>(
      new KubernetesClient(std::move(access), std::move(*asks), client, files));
}

/// Whether it is another one than before.
Task<Result<bool>> KubernetesClient::read_token() {
  if (access_.token_file.empty()) {
    const bool is_new = token_ != access_.token;
    token_ = access_.token;
    co_return is_new;
  }
  auto read = co_await files_.run([path = access_.token_file] { return read_small_file(path); });
  if (!read) co_return fail(std::move(read).error());
  if (!*read) co_return fail(std::move(*read).error());
  const bool is_new = token_ != **read;
  token_ = std::move(**read);
  co_return is_new;
}

Task<Result<KubernetesClient::Answer>> KubernetesClient::ask(const std::string& path, Duration patience) {
  if (asks_ == nullptr) {
    auto made = RegistryClient::create(kubernetes_options(access_), client_);
    if (!made) co_return fail(std::move(made).error());
    asks_ = std::move(*made);
  }
  asks_->authorize(token_.empty() ? std::string() : "Bearer " + token_);
  auto response = co_await asks_->open(path, patience);
  if (!response) {
    asks_.reset();
    co_return fail(std::move(response).error());
  }
  Answer answer{.status = (*response)->status()};
  if (answer.status == 200) {
    answer.response = std::move(*response);
    co_return answer;
  }
  answer.retry_after = read_retry_after((*response)->headers().find("retry-after").value_or(""));
  auto body = co_await (*response)->read_all(kLargestRefusal, Deadline::after(kTimeout));
  answer.reason = refusal(access_.address, answer.status, body.value_or(std::string()));
  co_return answer;
}

Task<Result<KubernetesClient::Answer>> KubernetesClient::get(std::string path, Duration patience) {
  if (auto read = co_await read_token(); !read) co_return fail(std::move(read).error());
  auto answer = co_await ask(path, patience);
  if (!answer || answer->status != 401) co_return answer;
  // It may have been replaced while we asked.
  auto replaced = co_await read_token();
  if (!replaced) co_return fail(std::move(replaced).error());
  if (*replaced) co_return co_await ask(path, patience);
  co_return answer;
}

}  // namespace autoglm::cluster
