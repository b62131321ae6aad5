#include "app/keys/key_agent.h"

#include "gateway/admission/keys/key_json.h"
#include "http/client.h"
#include "runtime/event_loop.h"
#include "runtime/scope.h"

#include <fmt/format.h>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace autoglm::app {

namespace {

namespace json = boost::json;

constexpr std::size_t kMostBytes = std::size_t{64} << 20U;
constexpr auto kPatience = std::chrono::seconds(30);

ErrorCode code_of_status(int status) {
  switch (status) {
    case 400:
    case 409:
      return ErrorCode::kInvalidArgument;
    case 401:
      return ErrorCode::kUnauthenticated;
    case 403:
      return ErrorCode::kPermissionDenied;
    case 404:
      return ErrorCode::kNotFound;
    default:
      return status == 503 ? ErrorCode::kUnavailable : ErrorCode::kBadGateway;
  }
}

/// What the server says is wrong.
Error refusal_of(int status, std::string_view body) {
  Error error{.code = code_of_status(status), .origin = Origin::kEndpoint};
  boost::system::error_code broken;
  const json::value document = json::parse(json::string_view(body.data(), body.size()), broken);
  boost::system::error_code missing;
  const auto text = [&](const char* at) -> std::string {
    const json::value* found = broken ? nullptr : document.find_pointer(at, missing);
    return found != nullptr && found->is_string() ? std::string(std::string_view(found->as_string())) : "";
  };
  error.message = text("/error/message");
  error.reason = text("/error/code");
  if (error.message.empty()) {
    error.message =
        fmt::format("it answered with status {}; is it the admin address of an Open-AutoGLM server?", status);
  }
  return error;
}

class RemoteKeyAgent final : public KeyAgent {
 public:
  RemoteKeyAgent(http::Url admin, std::string token) : admin_(std::move(admin)), token_(std::move(token)) {}

  Result<std::string> create(const std::string& body) override { return call("POST", "/keys", body); }
  Result<std::string> list() override { return call("GET", "/keys"); }
  Result<std::string> show(const std::string& name) override { return call("GET", path_of(name)); }
  Result<std::string> revoke(const std::string& name) override { return call("DELETE", path_of(name)); }
  Result<std::string> rotate(const std::string& name, const std::string& body) override {
    return call("POST", path_of(name) + "/rotate", body);
  }

 private:
  static std::string path_of(const std::string& name) {
    std::string path = "/keys/";
    for (const char c : name) {
      const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         c == '-' || c == '_' || c == '.';
      if (plain) {
        path += c;
      } else {
        path += fmt::format("%{:02X}", static_cast<unsigned char>(c));
      }
    }
    return path;
  }

  Result<std::string> call(std::string method, const std::string& path, std::string body = {}) {
    std::shared_ptr<const TlsClientContext> tls;
    if (admin_.tls) {
      auto made = TlsClientContext::create();
      if (!made) return fail(std::move(made).error());
      tls = std::move(*made);
    }
    http::ClientRequest request{.method = std::move(method), .url = admin_};
    request.url.target += path;
    if (!token_.empty()) request.headers.add("Authorization", "Bearer " + token_);
    if (!body.empty()) request.headers.add("Content-Type", "application/json");
    request.body = std::move(body);
    request.head_timeout = request.read_timeout = kPatience;
    EventLoop loop;
    BlockingPool pool(1, 8);
    http::Client client(pool, std::move(tls));
    Result<std::string> answer = fail(ErrorCode::kUnavailable, "the call has not ended");
    std::optional<Scope> scope(std::in_place);
    loop.post([&] { scope->spawn(exchange(client, std::move(request), answer, loop)); });
    loop.run();
    return answer;
  }

  static Task<void> exchange(http::Client& client, http::ClientRequest request, Result<std::string>& answer,
                             EventLoop& loop) {
    auto response = co_await client.send(std::move(request));
    if (!response) {
      answer = fail(response.error());
    } else {
      const int status = (*response)->status();
      auto body = co_await (*response)->read_all(kMostBytes);
      if (!body) {
        answer = fail(body.error());
      } else if (status / 100 != 2) {
        answer = fail(refusal_of(status, *body));
      } else {
        answer = std::move(*body);
      }
    }
    loop.stop();
  }

  http::Url admin_;
  std::string token_;
};

class FileKeyAgent final : public KeyAgent {
 public:
  explicit FileKeyAgent(gateway::KeyStore store) : store_(std::move(store)) {}

  Result<std::string> create(const std::string& body) override {
    const auto wanted = gateway::read_key(body, now());
    if (!wanted) return fail(wanted.error());
    return shown(store_.create(*wanted, now()));
  }
  Result<std::string> list() override {
    const auto keys = store_.all();
    if (!keys) return fail(keys.error());
    std::string body = "{\"keys\":[";
    for (const gateway::StoredKey& each : *keys) {
      if (&each != &keys->front()) body += ',';
      gateway::append_key(body, each, now());
    }
    return body + "]}\n";
  }
  Result<std::string> show(const std::string& name) override {
    const auto keys = store_.all();
    if (!keys) return fail(keys.error());
    for (const gateway::StoredKey& each : *keys)
      if (each.rights.name == name) return shown(Result<gateway::StoredKey>(each));
    if (std::ranges::find(store_.unreadable(), name) != store_.unreadable().end())
      return fail(ErrorCode::kDataLoss,
                  fmt::format("the key \"{}\" cannot be read; it is not accepted", name));
    return fail(gateway::unknown_key(name));
  }
  Result<std::string> revoke(const std::string& name) override { return shown(store_.revoke(name, now())); }
  Result<std::string> rotate(const std::string& name, const std::string& body) override {
    const auto grace = gateway::read_grace(body);
    if (!grace) return fail(grace.error());
    return shown(store_.rotate(name, *grace, now()));
  }

 private:
  static gateway::WallTime now() { return std::chrono::system_clock::now(); }
  static Result<std::string> shown(const Result<gateway::MadeKey>& made) {
    if (!made) return fail(made.error());
    return gateway::made_json(*made, now()) + "\n";
  }
  static Result<std::string> shown(const Result<gateway::StoredKey>& key) {
    if (!key) return fail(key.error());
    std::string body;
    gateway::append_key(body, *key, now());
    return body + "\n";
  }

  gateway::KeyStore store_;
};

}  // namespace

std::unique_ptr<KeyAgent> make_remote_agent(http::Url admin, std::string token) {
  while (admin.target.ends_with('/')) admin.target.pop_back();
  return std::make_unique<RemoteKeyAgent>(std::move(admin), std::move(token));
}

Result<std::unique_ptr<KeyAgent>> make_file_agent(const std::string& path, bool may_create) {
  auto store = gateway::KeyStore::open({.path = path, .create = may_create});
  if (!store) return fail(std::move(store).error());
  return std::make_unique<FileKeyAgent>(std::move(*store));
}

}  // namespace autoglm::app
