#include "cluster/registries/registry_client.h"

#include "base/redact.h"
#include "base/utf8.h"

#include <fmt/format.h>

namespace autoglm::cluster {

namespace {

/// Null: the client's own is used.
Result<std::shared_ptr<const TlsClientContext>> registry_context(const EndpointTls& tls) {
  if (tls == EndpointTls()) return nullptr;
  return TlsClientContext::create(
      {.ca_file = tls.ca, .certificate_file = tls.certificate, .key_file = tls.key, .verify = tls.verify});
}

}  // namespace

Result<std::unique_ptr<RegistryClient>> RegistryClient::create(Options options, http::Client& client) {
  auto tls = registry_context(options.tls);
  if (!tls) return fail(std::move(tls).error());
  return std::unique_ptr<RegistryClient>(new RegistryClient(std::move(options), std::move(*tls), client));
}

Result<http::ClientRequest> RegistryClient::request(const std::string& path, Duration wait) const {
  auto url = http::Url::parse(address());
  if (!url) return fail(std::move(url).error());
  url->target = url->below(path);
  http::ClientRequest request{.url = std::move(*url),
                              .connect_timeout = options_.timeout,
                              // A server adds up to a sixteenth to the wait, lest all of its callers come
                              // back at once (Consul).
                              .head_timeout = options_.timeout + wait + wait / 16,
                              // Nacos begins an answer that it holds back.
                              .read_timeout = options_.timeout + wait + wait / 16,
                              .tls = tls_,
                              .tls_name = options_.tls.server_name};
  for (const auto& [name, value] : options_.headers) request.headers.add(name, value);
  if (!token_.empty()) request.headers.add("Authorization", token_);
  return request;
}

Task<Result<std::unique_ptr<http::ClientResponse>>> RegistryClient::send(http::ClientRequest request) {
  auto response = co_await client_.send(std::move(request));
  if (!response) {
    give_up();
    // The certificates may have been replaced: those of short lives are, and authorities.
    if (auto fresh = registry_context(options_.tls)) tls_ = std::move(*fresh);
  }
  co_return response;
}

Task<Result<RegistryClient::Answer>> RegistryClient::ask(http::ClientRequest request, Duration wait) {
  const Deadline deadline = Deadline::after(request.head_timeout + wait);
  auto response = co_await send(std::move(request));
  if (!response) co_return fail(std::move(response).error());
  auto body = co_await (*response)->read_all(kLargestAnswer, deadline);
  if (!body) {
    give_up();
    co_return fail(std::move(body).error());
  }
  Answer answer{.status = (*response)->status(), .body = std::move(*body), .index = {}};
  answer.index = (*response)->headers().find("x-consul-index").value_or("");
  if (answer.status >= 500) give_up();
  co_return answer;
}

Task<Result<RegistryClient::Answer>> RegistryClient::send(Question question) {
  auto made = request(question.path, question.wait);
  if (!made) co_return fail(std::move(made).error());
  made->method = std::move(question.method);
  for (const auto& [name, value] : question.headers) made->headers.add(name, value);
  if (!question.content_type.empty()) made->headers.add("Content-Type", question.content_type);
  made->body = std::move(question.body);
  co_return co_await ask(std::move(*made), question.wait);
}

Task<Result<RegistryClient::Answer>> RegistryClient::get(std::string path, Duration wait) {
  co_return co_await send({.path = std::move(path), .wait = wait});
}

Task<Result<RegistryClient::Answer>> RegistryClient::post(std::string path, std::string body) {
  co_return co_await send({.method = "POST",
                           .path = std::move(path),
                           .body = std::move(body),
                           .content_type = "application/json"});
}

Task<Result<RegistryClient::Answer>> RegistryClient::put(std::string path, std::string body) {
  co_return co_await send({.method = "PUT",
                           .path = std::move(path),
                           .body = std::move(body),
                           .content_type = "application/json"});
}

Task<Result<std::unique_ptr<http::ClientResponse>>> RegistryClient::listen(std::string path, std::string body,
                                                                           Duration patience) {
  auto made = request(path, Duration::zero());
  if (!made) co_return fail(std::move(made).error());
  made->method = "POST";
  made->headers.add("Content-Type", "application/json");
  made->body = std::move(body);
  made->read_timeout = patience;
  const std::string asked = address();
  auto response = co_await send(std::move(*made));
  if (!response) co_return fail(std::move(response).error());
  if ((*response)->status() == 200) co_return std::move(*response);
  Answer answer{.status = (*response)->status(), .body = {}, .index = {}};
  if (auto text = co_await (*response)->read_all(kLargestAnswer, Deadline::after(options_.timeout)))
    answer.body = *text;
  if (answer.status >= 500) give_up();
  co_return fail(registry_refused(asked, answer));
}

Task<Result<std::unique_ptr<http::ClientResponse>>> RegistryClient::open(std::string path,
                                                                         Duration patience) {
  auto made = request(path, Duration::zero());
  if (!made) co_return fail(std::move(made).error());
  made->head_timeout = patience;
  made->read_timeout = patience;
  auto response = co_await send(std::move(*made));
  if (response && (*response)->status() >= 500) give_up();
  co_return response;
}

Error registry_refused(std::string_view address, const RegistryClient::Answer& answer) {
  const char* const remedy = answer.status == 401 || answer.status == 403 ? "; see its token" : "";
  return Error{.code = answer.status == 404 ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
               .origin = Origin::kEndpoint,
               .message = fmt::format("{} answers {}: {}{}", without_secrets(std::string(address)),
                                      answer.status, excerpt(answer.body, 200), remedy)};
}

}  // namespace autoglm::cluster
