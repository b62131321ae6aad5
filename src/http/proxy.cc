#include "http/proxy.h"

#include "http/message.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace autoglm::http {

namespace {

std::string base64(const std::string& text) {
  std::string out(4 * ((text.size() + 2) / 3) + 1, '\0');  // EVP_EncodeBlock ends with a NUL
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

/// The bytes of an IP address, four or sixteen; none for a name.
std::vector<std::uint8_t> address_bytes(const std::string& host) {
  in_addr four{};
  in6_addr six{};
  std::vector<std::uint8_t> bytes;
  if (::inet_pton(AF_INET, host.c_str(), &four) == 1) {
    bytes.resize(sizeof four);
    std::memcpy(bytes.data(), &four, sizeof four);
  } else if (::inet_pton(AF_INET6, host.c_str(), &six) == 1) {
    bytes.resize(sizeof six);
    std::memcpy(bytes.data(), &six, sizeof six);
  }
  return bytes;
}

bool same_bits(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b, unsigned bits) {
  if (a.size() != b.size() || bits > 8 * a.size()) return false;
  for (std::size_t i = 0; i < a.size() && bits > 0; ++i) {
    const unsigned here = std::min(bits, 8U);
    const unsigned mask = (0xFFU << (8 - here)) & 0xFFU;
    if ((a[i] & mask) != (b[i] & mask)) return false;
    bits -= here;
  }
  return true;
}

bool in_network(const std::string& host, std::string_view network) {
  const std::size_t slash = network.find('/');
  if (slash == std::string_view::npos) return false;
  unsigned bits = 0;
  const std::string_view digits = network.substr(slash + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (error != std::errc() || end != digits.data() + digits.size()) return false;
  const auto address = address_bytes(host);
  return !address.empty() && same_bits(address, address_bytes(std::string(network.substr(0, slash))), bits);
}

bool is_this_machine(const std::string& host) {
  if (equals_ignoring_case(host, "localhost") || host == "::1") return true;
  return in_network(host, "127.0.0.0/8");
}

/// "example.com" and ".example.com" cover the domain itself and its subdomains.
bool covers(std::string_view entry, std::string_view host) {
  if (entry.starts_with('.')) entry.remove_prefix(1);
  if (entry.empty() || host.size() < entry.size()) return false;
  if (!equals_ignoring_case(host.substr(host.size() - entry.size()), entry)) return false;
  return host.size() == entry.size() || host[host.size() - entry.size() - 1] == '.';
}

}  // namespace

Result<Proxy> Proxy::parse(std::string_view text) {
  const std::size_t scheme = text.find("://");
  if (scheme != std::string_view::npos && text.substr(0, scheme) != "http") {
    return fail(ErrorCode::kInvalidArgument, "the proxy is an " + std::string(text.substr(0, scheme)) +
                                                 ":// one; only http:// proxies are known here");
  }
  std::string_view rest = scheme == std::string_view::npos ? text : text.substr(scheme + 3);
  rest = rest.substr(0, rest.find('/'));
  Proxy proxy;
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    const auto credentials = percent_decode(rest.substr(0, at));
    if (!credentials)
      return fail(ErrorCode::kInvalidArgument, "the user and password of the proxy are malformed");
    proxy.authorization = "Basic " + base64(*credentials);
    rest.remove_prefix(at + 1);
  }
  const auto url = Url::parse("http://" + std::string(rest));
  if (!url) return fail(ErrorCode::kInvalidArgument, "the proxy: " + url.error().message);
  proxy.host = url->host;
  return proxy;
}

Result<ProxyRules> ProxyRules::create(std::string_view http_proxy, std::string_view https_proxy,
                                      std::string_view all_proxy, std::string_view no_proxy) {
  ProxyRules rules;
  const auto read = [](std::string_view text, std::optional<Proxy>& proxy) -> Result<void> {
    if (text.empty()) return {};
    auto parsed = Proxy::parse(text);
    if (!parsed) return fail(parsed.error());
    proxy = std::move(*parsed);
    return {};
  };
  if (auto done = read(http_proxy.empty() ? all_proxy : http_proxy, rules.http_); !done)
    return fail(done.error());
  if (auto done = read(https_proxy.empty() ? all_proxy : https_proxy, rules.https_); !done)
    return fail(done.error());
  while (!no_proxy.empty()) {
    const std::size_t end = std::min(no_proxy.find_first_of(", "), no_proxy.size());
    if (end > 0) rules.except_.emplace_back(no_proxy.substr(0, end));
    no_proxy.remove_prefix(std::min(end + 1, no_proxy.size()));
  }
  return rules;
}

bool ProxyRules::excepted(const HostPort& host) const {
  return std::ranges::any_of(except_, [&](const std::string& entry) {
    if (entry == "*" || in_network(host.host, entry)) return true;
    const std::string port = ":" + std::to_string(host.port);
    std::string_view name = entry;
    if (name.ends_with(port) && name.find(':') == name.size() - port.size()) name.remove_suffix(port.size());
    return covers(name, host.host);
  });
}

std::optional<Proxy> ProxyRules::of(const Url& url) const {
  const std::optional<Proxy>& proxy = url.tls ? https_ : http_;
  if (!proxy || is_this_machine(url.host.host) || excepted(url.host)) return std::nullopt;
  return proxy;
}

}  // namespace autoglm::http
