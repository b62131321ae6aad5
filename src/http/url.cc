#include "http/url.h"

#include "base/redact.h"

#include <boost/url/parse.hpp>
#include <boost/url/url.hpp>
#include <boost/url/url_view.hpp>

#include <algorithm>
#include <charconv>
#include <ranges>
#include <utility>

namespace autoglm::http {

namespace {

/// For messages, which are logged; a URL without its scheme may contain a password, too.
std::string shown(std::string_view text) {
  constexpr std::string_view kAny = "any://";
  if (text.find("://") != std::string_view::npos) return '"' + without_secrets(text) + '"';
  return '"' + without_secrets(std::string(kAny).append(text)).substr(kAny.size()) + '"';
}

Result<Url> from_view(const boost::urls::url_view& view, std::string_view text) {
  Url url;
  url.tls = view.scheme() == "https";
  if (view.scheme() != "http" && view.scheme() != "https") {
    return fail(ErrorCode::kInvalidArgument, shown(text) + " is not an http:// or https:// address");
  }
  if (view.host().empty()) {
    return fail(ErrorCode::kInvalidArgument, shown(text) + " names no host");
  }
  if (view.has_userinfo()) {
    return fail(ErrorCode::kInvalidArgument,
                "an address must not carry a user or password; give credentials as a key or header");
  }
  url.host.host = view.host_type() == boost::urls::host_type::ipv6 ? std::string(view.encoded_host_address())
                                                                   : view.host();
  url.host.port = url.tls ? 443 : 80;
  if (!view.port().empty()) {
    const auto port = view.port();
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), url.host.port);
    if (error != std::errc() || end != port.data() + port.size() || url.host.port == 0) {
      return fail(ErrorCode::kInvalidArgument, shown(text) + " has no valid port");
    }
  }
  // Boost.URL 1.81 takes what follows the digits of "host:80x" for a path.
  if (!view.encoded_path().empty() && *view.encoded_path().begin() != '/') {
    return fail(ErrorCode::kInvalidArgument, shown(text) + " has no valid port");
  }
  url.target = view.encoded_path().empty() ? "/" : std::string(view.encoded_path());
  if (view.has_query()) url.target += "?" + std::string(view.encoded_query());
  return url;
}

/// Splits a target into path and query.
std::pair<std::string_view, std::string_view> split(std::string_view target) {
  const std::size_t mark = target.find('?');
  if (mark == std::string_view::npos) return {target, {}};
  return {target.substr(0, mark), target.substr(mark + 1)};
}

std::string_view name_of(std::string_view parameter) { return parameter.substr(0, parameter.find('=')); }

bool has_parameter(std::string_view query, std::string_view name) {
  return std::ranges::any_of(std::views::split(query, '&'),
                             [&](const auto& each) { return name_of(std::string_view(each)) == name; });
}

/// Adds those parameters of `more` whose names `query` does not have.
void add_parameters(std::string& query, std::string_view more) {
  if (more.empty()) return;
  const std::string before = query;
  for (const auto& each : std::views::split(more, '&')) {
    const std::string_view parameter(each);
    if (parameter.empty() || has_parameter(before, name_of(parameter))) continue;
    if (!query.empty()) query += '&';
    query += parameter;
  }
}

}  // namespace

std::string Url::origin() const { return (tls ? "https://" : "http://") + host.to_string(); }

std::string Url::authority() const {
  const bool standard = host.port == (tls ? 443 : 80);
  if (!standard) return host.to_string();
  return host.host.find(':') != std::string::npos ? "[" + host.host + "]" : host.host;
}

std::string_view Url::path() const { return split(target).first; }

std::string_view Url::query() const { return split(target).second; }

std::string Url::below(std::string_view path, std::string_view more) const {
  const auto [own_path, own_query] = split(target);
  const auto [path_part, path_query] = split(path);
  std::string joined(own_path == "/" ? "" : own_path);
  joined += path_part;
  std::string query(own_query);
  add_parameters(query, path_query);
  add_parameters(query, more);
  if (!query.empty()) joined.append("?").append(query);
  return joined;
}

Result<Url> Url::parse(std::string_view text) {
  const auto view = boost::urls::parse_uri(text);
  if (!view) return fail(ErrorCode::kInvalidArgument, shown(text) + " is not a valid address");
  return from_view(*view, text);
}

Result<Url> Url::resolve(std::string_view location) const {
  const auto reference = boost::urls::parse_uri_reference(location);
  const std::string here = origin() + target;
  const auto base = boost::urls::parse_uri(here);
  boost::urls::url resolved;
  if (!reference || !base || !boost::urls::resolve(*base, *reference, resolved)) {
    return fail(ErrorCode::kBadGateway,
                "a redirect to " + shown(location) + ", which is not a valid address");
  }
  return from_view(resolved, location);
}

}  // namespace autoglm::http
