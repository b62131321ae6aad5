#include "engine/models/hub_client.h"

#include <fmt/format.h>

namespace autoglm::engine {

namespace {

constexpr int kMaxRedirects = 8;

Error broken(std::string message) {
  return Error{.code = ErrorCode::kBadGateway, .origin = Origin::kEndpoint, .message = std::move(message)};
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// The hub states the content's digest before it redirects; only the hub's own statement counts.
std::string linked_sha256(const http::HeaderView& headers) {
  std::string_view etag = headers.find("x-linked-etag").value_or("");
  if (etag.size() >= 2 && etag.starts_with('"') && etag.ends_with('"'))
    etag = etag.substr(1, etag.size() - 2);
  const bool hex = etag.size() == 64 && etag.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  return hex ? std::string(etag) : std::string();
}

}  // namespace

bool HubClient::deserves_token(const http::Url& url) const {
  return !settings_.hf_token.empty() && url.origin() == settings_.hugging_face.origin();
}

Result<void> HubClient::make_client(const http::Url& url) {
  if (url.tls && !secure_) {
    auto tls = TlsClientContext::create();
    if (!tls) return fail(tls.error());
    secure_ = std::make_unique<http::Client>(pool_, std::move(*tls));
  }
  if (!url.tls && !plain_) plain_ = std::make_unique<http::Client>(pool_, nullptr);
  return {};
}

Task<Result<HubClient::Answer>> HubClient::get(http::Url url, Headers headers) {
  Answer answer;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    if (auto made = make_client(url); !made) co_return fail(made.error());
    http::ClientRequest request;
    request.url = url;
    for (const auto& [name, value] : headers) request.headers.add(name, value);
    request.headers.add("User-Agent", "open-autoglm");
    answer.with_token = deserves_token(url);
    if (answer.with_token) request.headers.add("Authorization", "Bearer " + settings_.hf_token);
    request.connect_timeout = std::chrono::seconds(15);
    request.head_timeout = request.read_timeout = std::chrono::seconds(60);
    request.proxy = settings_.proxies.of(url);
    auto response = co_await (url.tls ? *secure_ : *plain_).send(std::move(request));
    if (!response) co_return fail(response.error());
    const http::HeaderView& got = (*response)->headers();
    if (url.origin() == settings_.hugging_face.origin() && answer.sha256.empty())
      answer.sha256 = linked_sha256(got);
    const auto location = got.find("location");
    if (!is_redirect((*response)->status()) || !location) {
      answer.response = std::move(*response);
      answer.url = std::move(url);
      co_return answer;
    }
    auto next = url.resolve(*location);
    if (!next) co_return fail(next.error());
    if (url.tls && !next->tls) co_return fail(broken(url.origin() + " redirects from https to http"));
    url = std::move(*next);
  }
  co_return fail(broken(fmt::format("{} redirects too often", url.origin())));
}

}  // namespace autoglm::engine
