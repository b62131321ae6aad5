#include "cluster/registries/host_port.h"

#include "http/url.h"

#include <charconv>
#include <string>

namespace autoglm::cluster {

std::optional<HostPort> read_host_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size()) return std::nullopt;
  HostPort address;
  const auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), address.port);
  if (error != std::errc() || end != text.data() + text.size() || address.port == 0) return std::nullopt;
  const auto url = http::Url::parse(std::string("http://").append(text));
  if (!url || url->target != "/") return std::nullopt;
  address.host = url->host.host;
  return address;
}

}  // namespace autoglm::cluster
