#pragma once

#include "base/clock.h"
#include "http/server.h"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// Which pages of other sites a browser lets read this server's answers (the fetch standard's CORS). Of no
/// importance to clients that are no browsers. Immutable; serves all loops.
struct CorsPolicy {
  std::vector<std::string> origins;  ///< "https://app.example"; "*": any; empty: none, nothing is added
  std::vector<std::string> headers;  ///< that requests may have; empty: those that they ask for
  Duration max_age = std::chrono::minutes(10);  ///< how long a browser remembers a preflight's answer

  bool is_on() const { return !origins.empty(); }
  bool allows_any() const;
  /// Whether the origin is in the list by its name.
  bool names(std::string_view origin) const;

  bool operator==(const CorsPolicy&) const = default;
};

/// Whether a browser asks what it may send.
bool is_preflight(const http::Request& request);

/// Adds what every answer needs, errors included.
void add_cors_headers(const CorsPolicy& policy, const http::Request& request, http::ResponseWriter& response);
/// Adds what the answer to a preflight needs besides; returns its status: 204, or 403 for an origin that is
/// not allowed.
int add_preflight_headers(const CorsPolicy& policy, const http::Request& request,
                          http::ResponseWriter& response);

}  // namespace autoglm::gateway
