#include "gateway/endpoint/passing_headers.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace autoglm::gateway {

namespace {

constexpr std::array<std::string_view, 21> kOurs = {
    // About the connection, RFC 9110 7.6.1.
    "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authentication-info", "te",
    "trailer", "transfer-encoding", "upgrade",
    // About the body, which the gateway has read, and perhaps unpacked or changed.
    "content-length", "content-type", "content-encoding", "content-range", "accept-ranges",
    // About the endpoint's own address, which clients do not know.
    "alt-svc", "strict-transport-security",
    // Written by the gateway itself.
    "date", "retry-after", "x-request-id", "vary", "endpoint-load-metrics"};

}  // namespace

std::vector<std::pair<std::string, std::string>> passing_headers(const http::HeaderView& headers) {
  std::vector<std::pair<std::string, std::string>> passing;
  const auto of_connection = [&](std::string_view name) {
    return std::ranges::any_of(headers.fields(), [&](const auto& field) {
      return http::equals_ignoring_case(field.first, "connection") && http::list_contains(field.second, name);
    });
  };
  // Which pages may read an answer this server says itself (server.cors).
  constexpr std::array<std::string_view, 2> kOwn = {"x-autoglm-", "access-control-"};
  for (const auto& [name, value] : headers.fields()) {
    const auto is = [&name](std::string_view other) { return http::equals_ignoring_case(name, other); };
    const auto begins = [&name](std::string_view own) {
      return http::equals_ignoring_case(name.substr(0, own.size()), own);
    };
    if (std::ranges::any_of(kOurs, is) || std::ranges::any_of(kOwn, begins) || of_connection(name)) continue;
    passing.emplace_back(name, value);
  }
  return passing;
}

}  // namespace autoglm::gateway
