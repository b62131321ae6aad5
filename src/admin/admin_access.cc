#include "admin/admin_access.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

namespace autoglm::admin {

namespace {

using gateway::RequestRecord;
using gateway::Route;
using gateway::send_error;

constexpr std::array<std::string_view, 3> kProbes = {"/health", "/livez", "/readyz"};

/// In constant time, which does not reveal where they differ.
bool same_secret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool has_token(const http::Request& request, std::string_view token) {
  constexpr std::string_view kScheme = "Bearer ";
  const auto given = request.headers.find("authorization");
  return given && given->size() > kScheme.size() &&
         http::equals_ignoring_case(given->substr(0, kScheme.size()), kScheme) &&
         same_secret(given->substr(kScheme.size()), token);
}

/// "[::1]:8081" without its port.
std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(0, authority.find(']') + 1);
  return authority.substr(0, authority.find(':'));
}

bool is_address_or_localhost(std::string_view host) {
  if (host.starts_with('[') || http::equals_ignoring_case(host, "localhost")) return true;
  constexpr std::string_view kZone = ".localhost";
  if (host.size() > kZone.size() &&
      http::equals_ignoring_case(host.substr(host.size() - kZone.size()), kZone))
    return true;
  return host.find_first_not_of("0123456789.") == std::string_view::npos;
}

Error refused(ErrorCode code, std::string message, std::string reason) {
  return Error{
      .code = code, .origin = Origin::kClient, .message = std::move(message), .reason = std::move(reason)};
}

std::string_view without_scheme(std::string_view origin) {
  const std::size_t end = origin.find("://");
  return end == std::string_view::npos ? std::string_view() : origin.substr(end + 3);
}

/// Browsers send the calling page's origin; other clients send none.
bool is_from_another_site(const http::Request& request) {
  const auto site = request.headers.find("sec-fetch-site");
  if (site && *site != "same-origin" && *site != "none") return true;
  const auto origin = request.headers.find("origin");
  return origin &&
         !http::equals_ignoring_case(without_scheme(*origin), request.headers.find("host").value_or(""));
}

bool is_json(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  return http::equals_ignoring_case(type, "application/json");
}

std::optional<Error> check_change(const http::Request& request) {
  if (is_from_another_site(request)) {
    return refused(ErrorCode::kPermissionDenied,
                   "the admin address takes no calls from pages of other sites; call it from a terminal",
                   "cross_site");
  }
  // Forms can only send other types, and browsers ask the server before a page of another site sends this
  // one.
  const auto type = request.headers.find("content-type");
  if (type ? is_json(*type) : request.body.empty()) return std::nullopt;
  return refused(
      ErrorCode::kInvalidArgument,
      "the admin address takes JSON alone: send the header Content-Type: application/json, or neither "
      "a body nor that header",
      "content_type");
}

std::optional<Error> check(const http::Request& request, const AdminAccess& access, bool probe) {
  if (!access.token.empty() && !probe && !has_token(request, access.token)) {
    return refused(ErrorCode::kUnauthenticated,
                   "the admin address wants the token of server.admin_token: send the header Authorization: "
                   "Bearer TOKEN",
                   "invalid_admin_token");
  }
  const auto host = request.headers.find("host");
  if (access.local && access.token.empty() && host && !is_address_or_localhost(host_of(*host))) {
    return refused(ErrorCode::kPermissionDenied,
                   "the admin address is this machine's own: call it by its address or as localhost, or set "
                   "server.admin_token",
                   "unknown_host");
  }
  const bool reads = request.method == "GET" || request.method == "HEAD";
  return reads ? std::nullopt : check_change(request);
}

bool hands_out_keys(const Route& route) { return route.method != "GET" && route.path.starts_with("/keys"); }

Error open_to_strangers() {
  return refused(ErrorCode::kPermissionDenied,
                 "whoever reaches this admin address could make keys: set server.admin_token, ask for "
                 "certificates (server.admin_tls.client_ca), or listen on 127.0.0.1",
                 "open_admin_address");
}

Task<void> send_refusal(http::ResponseWriter& response, Error error, RequestRecord& record) {
  if (error.code == ErrorCode::kUnauthenticated) response.add_header("WWW-Authenticate", "Bearer");
  co_await send_error(response, error, record);
}

}  // namespace

std::vector<Route> for_operators(std::vector<Route> routes, const AdminAccess& access) {
  for (Route& route : routes) {
    const bool probe = std::ranges::find(kProbes, route.path) != kProbes.end();
    const bool is_open_door = hands_out_keys(route) && !access.is_guarded();
    route.answer = [inner = std::move(route.answer), access, probe, is_open_door](
                       http::Request& request, http::ResponseWriter& response, RequestRecord& record) {
      if (is_open_door) return send_refusal(response, open_to_strangers(), record);
      if (auto error = check(request, access, probe))
        return send_refusal(response, std::move(*error), record);
      return inner(request, response, record);
    };
  }
  return routes;
}

}  // namespace autoglm::admin
