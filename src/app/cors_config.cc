#include "app/cors_config.h"

#include <string>
#include <string_view>
#include <vector>

namespace autoglm::app {

namespace {

/// As a browser sends it: a scheme and a host, perhaps a port.
bool is_origin(std::string_view text) {
  const std::size_t scheme = text.find("://");
  if (scheme == std::string_view::npos || scheme == 0) return false;
  const std::string_view host = text.substr(scheme + 3);
  return !host.empty() && host.find_first_of("/?#*, \t\r\n\"") == std::string_view::npos;
}

bool is_token(std::string_view name) {
  return !name.empty() && name.find_first_not_of(
                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              "0123456789!#$%&'*+-.^_`|~") == std::string_view::npos;
}

std::vector<config::Violation> check_cors(const gateway::CorsPolicy& cors) {
  std::vector<config::Violation> wrong;
  for (std::size_t i = 0; i < cors.origins.size(); ++i) {
    if (cors.origins[i] == "*" || is_origin(cors.origins[i])) continue;
    wrong.push_back({"origins[" + std::to_string(i) + "]",
                     "is no origin; write a scheme and a host without a path, such as "
                     "https://app.example.com, or \"*\" for any"});
  }
  for (std::size_t i = 0; i < cors.headers.size(); ++i) {
    if (!is_token(cors.headers[i]))
      wrong.push_back({"headers[" + std::to_string(i) + "]", "is no name of a header"});
  }
  return wrong;
}

}  // namespace

config::Descriptor<gateway::CorsPolicy> describe_cors() {
  using C = gateway::CorsPolicy;
  return config::Descriptor<C>("cors",
                               "Which pages of other sites may use this server from a browser. Unset: none.")
      .field("origins", &C::origins,
             {.doc = "Their origins, such as `https://app.example.com`; `\"*\"`: any.",
              .example = "[https://app.example.com, http://localhost:3000]"})
      .field("headers", &C::headers,
             {.doc = "The headers that their requests may have. Unset: those that they ask for.",
              .example = "[Authorization, Content-Type]"})
      .field("max_age", &C::max_age, {.doc = "How long a browser need not ask again.", .max = 86'400})
      .check(check_cors);
}

}  // namespace autoglm::app
