#include "http/url.h"

#include <boost/url/parse.hpp>
#include <boost/url/url.hpp>
#include <boost/url/url_view.hpp>

#include <charconv>

namespace autoglm::http {

namespace {

Result<Url> from_view(const boost::urls::url_view& view, std::string_view text) {
  Url url;
  url.tls = view.scheme() == "https";
  if (view.scheme() != "http" && view.scheme() != "https") {
    return fail(ErrorCode::kInvalidArgument,
                "\"" + std::string(text) + "\" is not an http:// or https:// address");
  }
  if (view.host().empty()) {
    return fail(ErrorCode::kInvalidArgument, "\"" + std::string(text) + "\" names no host");
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
      return fail(ErrorCode::kInvalidArgument, "\"" + std::string(text) + "\" has no valid port");
    }
  }
  // Boost.URL 1.81 takes what follows the digits of "host:80x" for a path.
  if (!view.encoded_path().empty() && *view.encoded_path().begin() != '/') {
    return fail(ErrorCode::kInvalidArgument, "\"" + std::string(text) + "\" has no valid port");
  }
  url.target = view.encoded_path().empty() ? "/" : std::string(view.encoded_path());
  if (view.has_query()) url.target += "?" + std::string(view.encoded_query());
  return url;
}

}  // namespace

std::string Url::origin() const { return (tls ? "https://" : "http://") + host.to_string(); }

std::string Url::authority() const {
  const bool standard = host.port == (tls ? 443 : 80);
  if (!standard) return host.to_string();
  return host.host.find(':') != std::string::npos ? "[" + host.host + "]" : host.host;
}

Result<Url> Url::parse(std::string_view text) {
  const auto view = boost::urls::parse_uri(boost::urls::string_view(text.data(), text.size()));
  if (!view) return fail(ErrorCode::kInvalidArgument, "\"" + std::string(text) + "\" is not a valid address");
  return from_view(*view, text);
}

Result<Url> Url::resolve(std::string_view location) const {
  const auto reference =
      boost::urls::parse_uri_reference(boost::urls::string_view(location.data(), location.size()));
  const std::string here = origin() + target;
  const auto base = boost::urls::parse_uri(here);
  boost::urls::url resolved;
  if (!reference || !base || !boost::urls::resolve(*base, *reference, resolved)) {
    return fail(ErrorCode::kBadGateway,
                "a redirect to \"" + std::string(location) + "\", which is not a valid address");
  }
  return from_view(resolved, location);
}

}  // namespace autoglm::http
