#include "app/operator/admin_client.h"

#include "config/values.h"
#include "http/client.h"
#include "runtime/event_loop.h"
#include "runtime/scope.h"

#include <fmt/format.h>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <chrono>
#include <cstdio>
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

// The server's own variables: where both have one environment, nothing more has to be said.
constexpr const char* kTokenVariable = "OPEN_AUTOGLM_SERVER_ADMIN_TOKEN";
constexpr const char* kAddressVariable = "OPEN_AUTOGLM_SERVER_ADMIN_LISTEN";

using Variables = std::map<std::string, std::string>;

std::string variable_of(const Variables& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

/// The address that a listener on `address` answers at.
std::string url_of(const std::string& address) {
  const auto parsed = config::parse_listen_address(address);
  if (!parsed) return address;
  const bool everywhere = parsed->host.empty() || parsed->host == "0.0.0.0" || parsed->host == "::";
  const std::string host = everywhere ? "127.0.0.1" : parsed->host;
  return fmt::format("http://{}:{}", host.find(':') == std::string::npos ? host : "[" + host + "]",
                     parsed->port);
}

Task<void> exchange(http::Client& client, http::ClientRequest request, Result<std::string>& answer,
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

}  // namespace

Result<AdminClient> AdminClient::of(const AdminOptions& options, const Variables& environment) {
  const std::string named =
      options.admin.empty() ? variable_of(environment, kAddressVariable) : options.admin;
  const std::string address = named.empty() ? "127.0.0.1:8081" : named;
  auto url = http::Url::parse(address.find("://") == std::string::npos ? url_of(address) : address);
  if (!url) return fail(ErrorCode::kInvalidArgument, "--admin: " + url.error().message);
  return AdminClient(std::move(*url),
                     options.token.empty() ? variable_of(environment, kTokenVariable) : options.token);
}

Result<std::string> AdminClient::call(std::string method, const std::string& path, std::string body) const {
  std::shared_ptr<const TlsClientContext> tls;
  if (admin_.tls) {
    auto made = TlsClientContext::create();
    if (!made) return fail(std::move(made).error());
    tls = std::move(*made);
  }
  http::ClientRequest request{.method = std::move(method), .url = admin_};
  request.url.target = admin_.below(path);
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

std::string advice_for(const Error& error, const std::string& origin, const std::string& elsewhere) {
  if (error.reason == "connect_failed")
    return fmt::format("No server answers at {}. Start one, {}.", origin, elsewhere);
  if (error.reason == "invalid_admin_token")
    return fmt::format("Give it with --token or {}.", kTokenVariable);
  return {};
}

int complain_of(const Error& error, const std::string& advice) {
  const bool ends = error.message.ends_with('.');
  fmt::print(stderr, "open-autoglm: {}{}{}\n", error.message,
             advice.empty() ? ""
             : ends         ? " "
                            : ". ",
             advice);
  return error.code == ErrorCode::kInvalidArgument ? 2 : 1;
}

}  // namespace autoglm::app
