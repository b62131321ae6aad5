#include "app/jwks_source.h"

#include "runtime/event_loop.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <utility>

namespace autoglm::app {

namespace {

using gateway::JwkSet;
using Freshness = gateway::JwtVerifier::Freshness;

constexpr Duration kJwksLook = std::chrono::milliseconds(200);
// At least so long between two calls of the address, whatever tokens come; while there are no keys at all,
// the issuer may just be starting.
constexpr Duration kLeastBetween = std::chrono::seconds(10);
constexpr Duration kLeastAtFirst = std::chrono::seconds(2);
constexpr Duration kJwksTimeout = std::chrono::seconds(5);

Result<std::shared_ptr<const JwkSet>> read_jwks_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("jwt.jwks_file: {} cannot be read: {}", path, std::strerror(errno)));
  }
  auto keys = JwkSet::parse(config::read_config_text(file));
  if (!keys) return fail(ErrorCode::kInvalidArgument, "jwt.jwks_file: " + path + " " + keys.error().message);
  if ((*keys)->keys().empty()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("jwt.jwks_file: {} has no key that can be used: RSA of 2048 bits or more, EC on "
                            "P-256, or oct of 32 bytes or more",
                            path));
  }
  return keys;
}

}  // namespace

Result<JwksSource::Prepared> JwksSource::prepare(const std::optional<gateway::JwtConfig>& config) const {
  Prepared next{.is_new = config != config_, .config = config, .keys = nullptr, .file = nullptr};
  if (!next.is_new || !config) return next;
  if (!config->secret.empty()) next.keys = JwkSet::of_secret(config->secret);
  if (!config->jwks_file.empty()) {
    next.file =
        std::make_unique<config::WatchedFile>(config->jwks_file);  // first: a write meanwhile shows later
    auto read = read_jwks_file(config->jwks_file);
    if (!read) return fail(std::move(read).error());
    next.keys = std::move(*read);
  }
  return next;
}

void JwksSource::adopt(Prepared prepared) {
  if (!prepared.is_new) return;
  file_ = std::move(prepared.file);
  if (!prepared.config) {
    config_.reset();
    verifier_.stop();
    return;
  }
  const std::string& url = prepared.config->jwks_url;
  const bool same_address = config_ && config_->jwks_url == url && !url.empty();
  if (!same_address) {
    keys_ = std::move(prepared.keys);
    asked_.reset();
    is_failing_ = false;
  }
  config_ = std::move(prepared.config);
  verifier_.set_freshness(config_->jwks_url.empty() || asked_ ? Freshness::kFresh : Freshness::kStale);
  verifier_.use(*config_, keys_);
}

Task<void> JwksSource::watch() {
  while (true) {
    co_await look();
    co_await sleep_for(kJwksLook);
  }
}

Task<void> JwksSource::look() {
  if (!config_) co_return;
  const MonotonicTime now = std::chrono::steady_clock::now();
  if (file_) {
    if (auto text = file_->changed(now)) take(std::move(*text));
    co_return;
  }
  if (config_->jwks_url.empty()) co_return;
  const Duration least = keys_ ? kLeastBetween : kLeastAtFirst;
  const Duration since = asked_ ? now - *asked_ : Duration::max();
  if (since < least) co_return;
  if (since >= (is_failing_ ? least : config_->refresh) || verifier_.freshness() == Freshness::kWanted) {
    co_await fetch();
  } else {
    verifier_.set_freshness(Freshness::kStale);
  }
}

Task<void> JwksSource::fetch() {
  const std::string url = config_->jwks_url;
  auto text = co_await download();
  if (!config_ || config_->jwks_url != url) co_return;  // the configuration has changed meanwhile
  asked_ = std::chrono::steady_clock::now();
  take(text);
  // Without any keys there is no token of which one could say that its key is unknown.
  verifier_.set_freshness(keys_ ? Freshness::kFresh : Freshness::kStale);
}

Task<Result<std::string>> JwksSource::download() {
  auto url = http::Url::parse(config_->jwks_url);
  if (!url) co_return fail(std::move(url).error());
  if (!client_) {
    auto tls = TlsClientContext::create();
    if (!tls) co_return fail(std::move(tls).error());
    names_ = std::make_unique<BlockingPool>(1, 8);
    client_ = std::make_unique<http::Client>(*names_, std::move(*tls));
  }
  http::ClientRequest request{.url = std::move(*url)};
  request.headers.add("Accept", "application/json");
  request.connect_timeout = request.head_timeout = request.read_timeout = kJwksTimeout;
  auto response = co_await client_->send(std::move(request));
  if (!response) co_return fail(std::move(response).error());
  if ((*response)->status() != 200)
    co_return fail(ErrorCode::kBadGateway, fmt::format("answered with status {}", (*response)->status()));
  co_return co_await (*response)->read_all(JwkSet::kMostBytes, Deadline::after(kJwksTimeout));
}

void JwksSource::take(const Result<std::string>& text) {
  auto keys = text ? JwkSet::parse(*text) : fail(text.error());
  const std::string& source = file_ ? config_->jwks_file : config_->jwks_url;
  if (!keys) {
    count("failed");
    if (!std::exchange(is_failing_, true)) {
      log_.error("the keys of the tokens' issuer cannot be read; the last ones stay",
                 {{"source", source}, {"error", keys.error().message}});
    }
    return;
  }
  const bool is_same = keys_ && *keys_ == **keys;
  const bool is_empty = (*keys)->keys().empty();
  count(is_empty ? "empty" : "ok");
  if (is_empty && !is_same) {
    log_.error("the tokens' issuer has no key that can be used any more; its tokens are refused",
               {{"source", source}});
  }
  if (std::exchange(is_failing_, false) || !keys_)
    log_.info("the keys of the tokens' issuer were read",
              {{"source", source}, {"keys", (*keys)->keys().size()}});
  if (is_same) return;  // the tokens that were verified stay so
  keys_ = std::move(*keys);
  verifier_.use(*config_, keys_);
}

void JwksSource::count(const char* outcome) {
  metrics_
      .counter("autoglm_jwks_reads_total", "How often the keys of the tokens' issuer were read.",
               {{"outcome", outcome}})
      .add();
}

}  // namespace autoglm::app
