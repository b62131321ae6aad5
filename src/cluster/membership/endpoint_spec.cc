#include "cluster/membership/endpoint_spec.h"

#include <string_view>

namespace autoglm::cluster {

Result<http::Url> api_url(const EndpointSpec& endpoint) {
  auto url = http::Url::parse(endpoint.url);
  if (!url) return url;
  std::string_view path = url->path();
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const std::string_view query = url->query();
  url->target = std::string(path) + (query.empty() ? "" : "?" + std::string(query));
  return url;
}

}  // namespace autoglm::cluster
