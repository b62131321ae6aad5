#pragma once

#include "base/result.h"
#include "http/url.h"
#include "runtime/socket.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::http {

/// A server that passes requests on: http:// requests whole, https:// requests through a tunnel (CONNECT).
struct Proxy {
  HostPort host;
  std::string authorization;  ///< the value of Proxy-Authorization; empty: none

  /// Parses "http://user:password@host:port" or "host:port". Errors: kInvalidArgument, also for other kinds
  /// of proxies; the message never contains the password.
  static Result<Proxy> parse(std::string_view text);
};

/// Which requests go through which proxy, according to the variables HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and
/// NO_PROXY. Immutable.
class ProxyRules {
 public:
  /// Takes the variables' values; empty: not set. `no_proxy` lists hosts, which include their subdomains
  /// ("example.com"), networks ("10.0.0.0/8"), or "*" for all; a host may have a port. Errors: as
  /// `Proxy::parse`.
  static Result<ProxyRules> create(std::string_view http_proxy, std::string_view https_proxy,
                                   std::string_view all_proxy, std::string_view no_proxy);

  /// The proxy for `url`; nothing if `url` is asked directly, as this machine always is.
  std::optional<Proxy> of(const Url& url) const;

 private:
  bool excepted(const HostPort& host) const;

  std::optional<Proxy> http_;
  std::optional<Proxy> https_;
  std::vector<std::string> except_;
};

}  // namespace autoglm::http
